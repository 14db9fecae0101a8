"""Changes of verdict that are told twice, wrongly or to nobody are seen."""

from typing import Any

import msgspec
import pytest
from tests.unit.testing.checks.filing import File, settled

from onstage.events.receipt import Status
from onstage.testing.checks.told_changes import (
    Came,
    Told,
    came_in,
    miscounted,
    never_told_stuck,
    told_of,
    untrue_ends,
    wrongly_overdue,
)

OUTCOMES = frozenset({"a.end"})
DUE = 20_000


def said(number: int, kind: str = "stuck", **more: Any) -> Told:
    return Told(kind, {"number": number, **more})


def test_what_was_told_is_found_by_its_process_in_the_order_of_its_numbers(file: File) -> None:
    file.process(1)
    file.do("insert into onstage_type values (9, 'onstage.process.stuck', 1)")
    for n, number in ((2, 2), (3, 1)):
        file.event(n, type=9)
        body = msgspec.json.encode({"process": "p1", "number": number})
        file.do("update onstage_event set data = ? where n = ?", body, n)
    assert [(each.kind, each.said["number"]) for each in told_of(file.look())[1]] == [("stuck", 1), ("stuck", 2)]


def test_the_events_of_a_process_come_in_the_order_of_the_log(file: File) -> None:
    file.event(1, hlc=5 << 16)
    file.event(2, type=2, process=1, hlc=7 << 16)
    file.event(3, hlc=8 << 16)
    assert came_in(file.look(), 1) == [Came("a.b", 5), Came("a.end", 7)]


def test_a_number_that_is_told_twice_or_is_missing_is_seen() -> None:
    assert list(miscounted([said(1), said(2)])) == []
    assert list(miscounted([said(1), said(1)])) == ["changes [1, 1] were told"]
    assert list(miscounted([said(2)])) == ["changes [2] were told"]


@pytest.mark.parametrize(
    ("kinds", "outcome", "is_true"),
    [
        (("dead-end",), None, True),
        (("dead-end", "completed"), "a.end", True),
        (("dead-end", "reopened", "dead-end"), None, True),
        ((), None, False),
        (("dead-end",), "a.end", False),
        (("dead-end", "reopened"), None, False),
        (("dead-end", "dead-end"), None, False),
        (("reopened", "completed"), "a.end", False),
    ],
)
def test_what_is_told_last_is_how_it_ended(kinds: tuple[str, ...], outcome: str | None, is_true: bool) -> None:
    told = [said(n, kind, outcome="a.end" if kind == "completed" else None) for n, kind in enumerate(kinds, 1)]
    assert (not list(untrue_ends(told, outcome))) == is_true


def test_what_was_set_aside_and_told_to_nobody_is_seen(file: File) -> None:
    file.do("insert into onstage_type values (9, 'onstage.process.stuck', 1)")
    file.event(1)
    file.event(2, type=9)
    file.receipts(settled(1, Status.PARKED), settled(2, Status.PARKED))
    assert list(never_told_stuck(file.look(), {1: [said(1)]})) == []
    assert list(never_told_stuck(file.look(), {})) == ["something of process 1 was set aside, and nobody was told"]


@pytest.mark.parametrize(
    ("came", "now", "times", "found"),
    [
        ([Came("a.mile", DUE - 5_000)], 0, 0, []),
        ([Came("a.mile", DUE + 5_000)], 0, 1, []),
        ([], DUE + 5_000, 1, []),
        ([Came("a.end", 1_000), Came("a.mile", DUE + 5_000)], 0, 0, []),
        ([Came("a.mile", DUE - 5_000)], 0, 1, ["a.mile was told to be late, and was not"]),
        ([Came("a.mile", DUE + 5_000)], 0, 0, ["a.mile was late by 5000 ms, and nobody was told"]),
        ([], DUE + 5_000, 0, ["a.mile was late by 5000 ms, and nobody was told"]),
        ([], DUE + 5_000, 2, ["a.mile was told to be late 2 times"]),
    ],
)
def test_a_milestone_is_told_to_be_late_once_if_it_was(
    came: list[Came], now: int, times: int, found: list[str]
) -> None:
    told = [said(n, "overdue", milestone="a.mile") for n in range(times)]
    assert list(wrongly_overdue(told, [Came("a.b", 0), *came], "a.mile", DUE, OUTCOMES, now)) == found
