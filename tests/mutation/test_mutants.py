"""The mutants themselves: what is changed, and what is left as it is."""

from pathlib import Path

import pytest
from tests.mutation.__main__ import MODULES, TESTS, unit_tests_of
from tests.mutation.mutants import mutants_of


def changed_lines(folder: Path, source: str) -> set[str]:
    """The new lines of all mutants of a source."""
    module = folder / "module.py"
    module.write_text(source)
    diffs = [mutant.diff.splitlines() for mutant in mutants_of(module)]
    return {line[2:] for diff in diffs for line in diff if line.startswith("+")}


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("x = a < b", {"x = a <= b", "x = a >= b"}),
        ("x = a is None", {"x = a is not None"}),
        ("x = a and b", {"x = a or b", "x = a", "x = b"}),
        ("x = a and b and c", {"x = a or b or c", "x = b and c", "x = a and c", "x = a and b"}),
        ("x = a << 2", {"x = a >> 2", "x = a << 3", "x = a << 1"}),
        ("x = not a", {"x = a"}),
        ("x = f(True, 'no')", {"x = f(False, 'no')", "x = f(True, 'no?')", "x = f(True)"}),
        ("x = f(a=b, c=d)", {"x = f(c=d)", "x = f(a=b)"}),
        ("x = (a, b)", {"x = (b,)", "x = (a,)"}),
        ("x = {a: b, c: d}", {"x = {c: d}", "x = {a: b}"}),
        ("x = min(a)", {"x = max(a)"}),
        ("x = isinstance(a, B | C)", {"x = isinstance(a, B)", "x = isinstance(a, C)", "x = isinstance(a)"}),
        ("x = a if b else c", {"x = a if not b else c"}),
        ("x = [a for a in b if c]", {"x = [a for a in b]", "x = [a for a in b if not c]"}),
        ("class A(B, frozen=True, tag=t): ...", {"class A(B, frozen=False, tag=t):", "class A(B, frozen=True):"}),
        ("def f():\n    return a", {"return"}),
        ("def f():\n    raise E('no')", {"pass"}),
        ("def f():\n    a += b", {"pass", "a -= b"}),
        ("def f():\n    if a:\n        g()", {"if not a:", "pass"}),
    ],
)
def test_a_place_is_changed_in_every_way_that_it_can_be(source: str, mutants: set[str], tmp_path: Path) -> None:
    assert changed_lines(tmp_path, source) == mutants


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "__all__ = ['a', 'b']",
        "x: Annotated[int, 1]",
        "def f(x: Literal['a'] = a) -> 1 | 2: ...",
        "if TYPE_CHECKING:\n    x = 1",
        "assert a < b, 'so'",
        "def f():\n    assert_never(a)",
        "def f():\n    return None",
        "class A:\n    WORD: Final = 'word'",
        "Either = A | B\nx: Either",
        "class A(B, gc=False): ...",
        "x = f'a {b} c'",
    ],
)
def test_what_says_nothing_about_behaviour_is_left_as_it_is(source: str, tmp_path: Path) -> None:
    assert changed_lines(tmp_path, source) == set()


def test_an_alias_that_is_read_at_run_time_is_behaviour(tmp_path: Path) -> None:
    assert changed_lines(tmp_path, "Either = A | B\nx = f(Either)") == {"Either = A", "Either = B"}


def test_mutants_differ_from_each_other_and_know_their_lines(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("a = 1\n\n\nb = 2\n")
    mutants = mutants_of(module)
    assert [mutant.line for mutant in mutants] == [1, 1, 4, 4]
    assert len({mutant.source for mutant in mutants}) == 4


def test_every_module_is_tried_with_its_own_tests_first() -> None:
    modules = [path for path in MODULES if path.stem != "__init__"]
    assert {unit_tests_of(path)[0].stem for path in modules} == {f"test_{path.stem}" for path in modules}
    assert {test for path in modules for test in unit_tests_of(path)} == set(TESTS)
    journal = next(path for path in modules if path.stem == "journal")
    found = [test.stem for test in unit_tests_of(journal)]
    assert found == [
        "test_journal",
        "test_branches",
        "test_execution",
        "test_execution_journal",
        "test_fork",
        "test_renewal",
        "test_requests",
        "test_segments",
        "test_skippable",
    ]
