"""Verdicts as a pure function of open obligations, outcome and last events."""

from collections.abc import Iterator
from datetime import UTC, datetime
from time import tzset  # noqa: TID251  # sets the zone, asks no clock

import pytest

from onstage.events.receipt import Status
from onstage.observe.verdict import Blocker, LastEvent, OpenObligation, Verdict, judge

DUE_MS = 1_700_000_000_000
DUE = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("open_ones", "said"),
    [
        ([OpenObligation("a.b", Status.READY)], "running: a.b is ready"),
        ([OpenObligation("a.b", Status.RUNNING), OpenObligation("a.c", Status.WAITING)], "running: a.b is running"),
        (
            [OpenObligation("a.b", Status.WAITING, ("x", "y"), DUE_MS)],
            "waiting: a.b waits for x or y until 2023-11-14 22:13:20 UTC",
        ),
        ([OpenObligation("a.b", Status.WAITING, ("x",))], "waiting: a.b waits for x"),
        ([OpenObligation("a.b", Status.WAITING, (), DUE_MS)], "waiting: a.b sleeps until 2023-11-14 22:13:20 UTC"),
        (
            [OpenObligation("a.b", Status.RETRYING, (), DUE_MS)],
            "waiting: a.b tries again at 2023-11-14 22:13:20 UTC",
        ),
        (
            [OpenObligation("a.b", Status.PARKED, error="boom\n  at x"), OpenObligation("a.c", Status.READY)],
            "stuck: a.b is a dead letter: boom",
        ),
        ([OpenObligation("a.b", Status.DIVERGED, error="asks")], "stuck: a.b is diverged: asks"),
        (
            [OpenObligation("a.b", Status.READY, behind=Blocker("o-7", Status.PARKED, DUE_MS, "boom\n  at x"))],
            "stuck: a.b is ready behind a dead letter of process o-7 since 2023-11-14 22:13:20 UTC: boom",
        ),
        (
            [OpenObligation("a.b", Status.READY, behind=Blocker("o-7", Status.DIVERGED, DUE_MS, "asks"))],
            "stuck: a.b is ready behind a diverged execution of process o-7 since 2023-11-14 22:13:20 UTC: asks",
        ),
        ([OpenObligation("a.b", Status.READY, live=False)], "stuck: a.b: no live node has this handler"),
        ([OpenObligation("a.b", Status.PARKED)], "stuck: a.b is a dead letter: "),
        (
            [OpenObligation("a.b", Status.WAITING, behind=Blocker("o-7", Status.PARKED, DUE_MS))],
            "stuck: a.b is waiting behind a dead letter of process o-7 since 2023-11-14 22:13:20 UTC: ",
        ),
        (
            [OpenObligation("a.b", Status.WAITING, live=False, behind=Blocker("o-7", Status.PARKED, DUE_MS))],
            "stuck: a.b: no live node has this handler",
        ),
        ([OpenObligation("a.b", Status.RETRYING)], "waiting: a.b tries again"),
        ([OpenObligation("a.b", Status.WAITING)], "waiting: a.b sleeps"),
        (
            [OpenObligation("a.b", Status.RETRYING, ("x",)), OpenObligation("a.c", Status.WAITING, ("y",))],
            "waiting: a.b tries again; a.c waits for y",
        ),
        (
            [
                OpenObligation("a.b", Status.RETRYING),
                OpenObligation("a.c", Status.READY),
                OpenObligation("a.d", Status.RUNNING),
            ],
            "running: a.c is ready; a.d is running",
        ),
    ],
)
def test_what_is_open_makes_the_verdict(open_ones: list[OpenObligation], said: str) -> None:
    verdict = judge(open_ones, None)
    assert str(verdict) == said
    assert not verdict.is_final


def test_an_outcome_with_something_open_is_shown_and_not_final() -> None:
    verdict = judge([OpenObligation("a.b", Status.WAITING, due=DUE_MS)], "shop.paid")
    assert (verdict.status, verdict.outcome, verdict.until) == ("waiting", "shop.paid", DUE)
    assert str(verdict).startswith("waiting (shop.paid): ")


def test_the_nearest_time_is_the_one_that_is_said() -> None:
    later, sooner = (
        OpenObligation("a.b", Status.WAITING, due=DUE_MS + 1),
        OpenObligation("a.c", Status.RETRYING, (), DUE_MS),
    )
    assert judge([later, sooner], None).until == DUE


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-5:45")
        tzset()
        yield
    tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_a_time_is_said_in_utc_wherever_the_machine_stands() -> None:
    verdict = judge([OpenObligation("a.b", Status.WAITING, due=DUE_MS)], None)
    assert str(verdict) == "waiting: a.b sleeps until 2023-11-14 22:13:20 UTC"
    assert verdict.until == DUE


def test_what_is_active_does_not_hide_when_the_rest_is_due() -> None:
    waiting = OpenObligation("a.b", Status.WAITING, due=DUE_MS)
    verdict = judge([waiting, OpenObligation("a.c", Status.RUNNING)], "shop.paid")
    assert verdict == Verdict("running", "shop.paid", ("a.c is running",), DUE)


def test_what_is_stuck_has_no_time_at_which_it_goes_on() -> None:
    aside = OpenObligation("a.b", Status.PARKED, due=DUE_MS, error="no")
    verdict = judge([aside], "shop.paid")
    assert verdict == Verdict("stuck", "shop.paid", ("a.b is a dead letter: no",))


def test_what_is_said_about_a_process_is_a_value() -> None:
    blocker = Blocker("o-7", Status.PARKED, DUE_MS)
    said = (blocker, OpenObligation("a.b", Status.READY), LastEvent("a", ()), Verdict("running"))
    again = (Blocker("o-7", Status.PARKED, DUE_MS), OpenObligation("a.b", Status.READY), LastEvent("a", ()))
    assert len({*said, *again}) == len(said)


def test_an_end_without_outcome_says_who_rejected_and_who_returned_nothing() -> None:
    last = [LastEvent("a", (), ("s.h rejected: no stock",)), LastEvent("b", ("s.i",), ("s.h rejected: late",))]
    said = "dead end: a: s.h rejected: no stock; b: s.h rejected: late, s.i returned nothing"
    assert str(judge((), None, last)) == said


def test_nothing_open_is_an_end() -> None:
    assert judge((), "shop.paid") == Verdict("completed", "shop.paid")
    assert str(judge((), "shop.paid", [LastEvent("a", ())])) == "completed (shop.paid)"
    assert judge((), "shop.paid").is_final
    dead = judge((), None, [LastEvent("a", ()), LastEvent("b", ("s.h", "s.i"))])
    assert str(dead) == "dead end: a: no handler; b: s.h and s.i returned nothing"
    assert dead.is_final
