"""`check` as a whole: the same for the same declarations, linear in them, and silent about the shop."""

import sys
from collections.abc import Callable
from pathlib import Path
from random import Random  # noqa: TID251  # seeded
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.contracts.declarations import app, manifests, process, says

import onstage.contracts
from onstage.cli.application import load_app
from onstage.contracts.check import check, merged
from onstage.contracts.check_codes import CODES
from onstage.contracts.manifest import AppManifest, from_stored

ROOT = Path(__file__).parents[3]
FOLDER = str(Path(onstage.contracts.__file__).parent)
Shape = Callable[[int], AppManifest]


def chain(services: int) -> AppManifest:
    """Each service hands on to the next, or ends it."""
    return app(*(says(f"s{n}.do", f"e{n}", f"e{n + 1} | -") for n in range(services)), process("e0", f"e{services}"))


def circle(services: int) -> AppManifest:
    """Each hands on to the next and the last to the first; no way out."""
    return app(*(says(f"s{n}.do", f"e{n}", f"e{(n + 1) % services}") for n in range(services)), process("e0", "e1"))


def questions(services: int) -> AppManifest:
    """Each asks the next one."""
    return app(*(says(f"s{n}.tell", asks=(f"q{n + 1}",), answers=f"q{n}") for n in range(services)))


def choices(services: int) -> AppManifest:
    """Each has two alternatives some way ahead, and now and then a process begins."""
    chance = Random(services)
    parts = []
    for n in range(services):
        ahead = [f"e{n + 1 + chance.randrange(5)}" for _ in range(3)]
        parts.append(says(f"s{n}.do", f"e{n}", f"{ahead[0]} + {ahead[1]} | {ahead[2]}"))
    return app(*parts, *(process(f"e{n}", f"e{n + 2}", name=f"p{n}") for n in range(0, services, 10)))


def lines_run(manifest: AppManifest) -> int:
    """How many lines of the package `contracts` a check runs through."""
    count = 0

    def local(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return local

    def enter(frame: FrameType, event: str, argument: object) -> Any:
        return local if frame.f_code.co_filename.startswith(FOLDER) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        check(manifest)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", [chain, circle, questions, choices])
def test_twice_the_services_are_twice_the_work(shape: Shape) -> None:
    once, twice = lines_run(shape(200)), lines_run(shape(400))
    assert once > 200, "nothing was counted"
    assert twice < 2.3 * once


@given(manifests(), st.randoms(use_true_random=False))
def test_the_order_of_declarations_does_not_matter(manifest: AppManifest, chance: Random) -> None:
    shuffled = [list(manifest.handlers), list(manifest.processes)]
    for part in shuffled:
        chance.shuffle(part)
    assert check(AppManifest(handlers=tuple(shuffled[0]), processes=tuple(shuffled[1]))) == check(manifest)


@given(manifests())
def test_every_finding_has_a_code_and_speaks_in_one_line(manifest: AppManifest) -> None:
    for finding in check(manifest).findings:
        assert finding.code in CODES
        assert finding.what
        assert finding.mend
        assert "\n" not in finding.what + finding.mend


@given(manifests(), st.sampled_from(sorted(CODES)))
def test_ignored_codes_are_counted_and_nothing_else_changes(manifest: AppManifest, code: str) -> None:
    every, rest = check(manifest), check(manifest, ignore=[code])
    assert rest.findings == tuple(each for each in every.findings if each.code != code)
    assert rest.ignored == len(every.findings) - len(rest.findings)
    assert rest.is_well == all(each.severity != "error" for each in rest.findings)


def test_a_code_that_is_not_there_cannot_be_ignored() -> None:
    with pytest.raises(ValueError, match="OS999"):
        check(AppManifest(), ignore=["OS999"])


def test_findings_say_where_their_handler_is() -> None:
    found = check(app(says("s.do", "e", "lost")), places={"s.do": "shop.py:12"}).findings
    assert [(each.code, each.where) for each in found] == [("OS101", "shop.py:12"), ("OS103", "shop.py:12")]


def test_the_shop_has_nothing_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples/shop"))
    before = set(sys.modules)
    try:
        shop = load_app("app:app", ROOT / "examples/shop")
        assert check(shop.manifest).findings == ()
    finally:
        for name in ("app", "events", "world"):
            if name not in before:
                sys.modules.pop(name, None)


def test_a_manifest_of_an_older_version_is_checked_as_far_as_it_goes() -> None:
    old = b'0\n{"handlers":[{"name":"s.again","service":"s","triggers":["e"],"emits":["e"]}]}'
    report = check(from_stored(old))
    assert [each.code for each in report.findings] == ["OS102", "OS106"]


def test_what_two_manifests_declare_counts_once_and_the_first_wins() -> None:
    one, other = app(says("s.a", "e", "f"), process("e", "f")), app(says("s.a", "e", "g"), says("t.b", "f"))
    both = merged([one, other])
    assert [each.name for each in both.handlers] == ["s.a", "t.b"]
    assert both.handlers[0].emits == ("f",)
    assert both.processes == one.processes
    assert merged([one]) == one
