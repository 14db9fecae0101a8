"""The page of features: each has a page with a program, is shown, is played in worlds, and has a planted bug.

The programs of the pages run in `test_docs.py`, which also finds the named tests; what is shown is looked at in
`tests/scenario/test_shown.py`, and that planted bugs are found is tried in `tests/planted`. Here it is only checked
that no feature goes without.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.planted.bugs import BUGS
from tests.scenario.test_shown import IN_LISTS, IN_PS, IN_SHOW

from onstage.testing.world.programme import GUESTS, PLAYS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/features.md"
ROW = re.compile(r"^\| \[(.*?)\]\((.*?)\) \| (.*)\|$", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
FEATURES_MIN = 40
CLI = "tests/unit/cli/"


class Feature(NamedTuple):
    """One row of the page."""

    page: Path
    says: str
    shown: list[str]
    played: list[str]
    kept: list[str]
    planted: list[str]


def _read() -> dict[str, Feature]:
    found = {}
    for name, page, rest in ROW.findall(PAGE.read_text()):
        says, shown, played, kept, planted = rest.rstrip().split(" | ")
        by, tests, bugs = (CODE.findall(cell) for cell in (shown, kept, planted))
        found[name] = Feature((PAGE.parent / page).resolve(), says.strip("`"), by, played.split(", "), tests, bugs)
    return found


FEATURES = _read()

# Under which keys `tests/scenario/test_shown.py` looks for a feature in `ps` and `show`.
KEYS = {
    "handlers that emit": "large",
    "steps, retries": "branches",
    "transactions": "keyed",
    "`wait`": "branches",
    "`sleep`": "spawned",
    "lanes": "paused",
    "workflows and children": "parent",
    "cancel and terminate": "cancelled",
    "live state": "parent",
    "continue as new": "endless",
    "ask": "asking",
    "gather and race": "branches",
    "spawn": "spawned",
    "scope and shield": "scope",
    "patched": "patched",
    "delayed events": "delayed",
    "expiry": "expired",
    "rates, concurrency": "limited",
    "fairness, priority": "limited",
    "debounce": "edited",
    "batches": "item",
    "pauses": "paused",
    "heartbeats": "digging",
    "completion by token": "token",
    "keyed state": "keyed",
    "large payloads": "large",
}

# What is shown by other commands, or by these but of other worlds: the test that looks at it, and a text in it.
ELSEWHERE = {
    ("undo, `Reject`", "show"): "tests/unit/reading/test_causal_tree.py::undone",
    ("fork", "restart"): f"{CLI}test_restart_workflow.py::forked from ",
    ("patterns and history", "subscriptions ls"): f"{CLI}test_list_subscriptions.py",
    ("replay of a handler", "subscriptions ls"): f"{CLI}test_list_subscriptions.py::(replay 1)",
    ("retire", "retire"): f"{CLI}test_retire_handler.py",
    ("encryption", "show"): "tests/unit/reading/test_causal_tree.py::sealed with key",
    ("events in your transaction", "ps"): "tests/unit/embedding/test_intake_table.py::ps",
    ("events in your transaction", "/metrics"): "tests/unit/embedding/test_intake_table.py::onstage_intake_rows_total",
    ("metrics and spans", "/metrics"): "tests/unit/embedding/test_asgi.py::/metrics",
    ("milestones, deadlines", "ps"): "tests/unit/reading/test_milestones.py::--overdue",
    ("milestones, deadlines", "show"): "tests/unit/reading/test_milestones.py",
    ("changes of verdict, told", "ps"): "tests/unit/reading/test_milestones.py::--stuck",
    ("expectations", "ps"): "tests/scenario/test_expecting_shown.py::--violated",
    ("expectations", "show"): "tests/scenario/test_expecting_shown.py::show",
}


def test_the_page_has_all_of_them() -> None:
    assert len(FEATURES) >= FEATURES_MIN
    assert PAGE.read_text().count("\n| [") == len(FEATURES), "a row cannot be read"


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_has_a_program_on_its_page(name: str) -> None:
    page, says = FEATURES[name].page, FEATURES[name].says
    assert any(says in block for block in PYTHON.findall(page.read_text())), f"no program of {page} says {says}"


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_shown_where_a_person_looks(name: str) -> None:
    assert FEATURES[name].shown
    for command in FEATURES[name].shown:
        if (looked_at := ELSEWHERE.get((name, command))) is not None:
            path, _, text = looked_at.partition("::")
            assert text in (ROOT / path).read_text(), looked_at
        else:
            assert command in IN_LISTS or KEYS[name] in {"ps": IN_PS, "show": IN_SHOW}[command], command


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_played_in_worlds_and_kept_by_tests(name: str) -> None:
    plays = {play.name for play in (*PLAYS, *GUESTS)}
    assert set(FEATURES[name].played) <= plays | {"every world"}
    for test in FEATURES[name].kept:
        path, _, function = test.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), test
    assert FEATURES[name].kept


def test_every_play_is_some_feature() -> None:
    named = {each for feature in FEATURES.values() for each in feature.played}
    assert named == {play.name for play in (*PLAYS, *GUESTS)} | {"every world"}


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_has_a_planted_bug_that_is_found(name: str) -> None:
    assert FEATURES[name].planted
    for bug in FEATURES[name].planted:
        assert BUGS[bug].elsewhere or BUGS[bug].checkers
