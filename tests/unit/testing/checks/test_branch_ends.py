"""Races with two winners, losers that were not undone, and calls that never ended are seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Abandoned, Begun, Raced, ScopeRejected, SleepOpened, Stepped, Undone
from onstage.events.receipt import Status
from onstage.testing.checks.branch_ends import half_done, not_undone, several_winners


def test_a_race_has_one_winner(file: File) -> None:
    file.execution(1, Status.DONE, Raced("race#0", 1), Raced("race#1", 0))
    assert list(several_winners(file.look())) == []
    file.execution(2, Status.DONE, Raced("race#0", 1), Raced("race#0", 0))
    assert list(several_winners(file.look())) == ["execution 131073 decided ['race#0'] more than once"]


def test_what_a_loser_or_a_scope_did_is_undone_once(file: File) -> None:
    lost = Abandoned("race#0/1/charge#0", 1, b"1", 1, 1, 5, "charge", b"[]")
    kept = Stepped("scope a#0/0/charge#0", 1, b"1", 1, 1, 5, "charge", b"[]")
    part = ScopeRejected("scope a#0", "no")
    file.execution(1, Status.DONE, lost, Undone("undo/race#0/1/charge#0"))
    file.execution(2, Status.DONE, kept, part, Undone("undo/scope a#0/0/charge#0"))
    file.execution(3, Status.DONE, kept)
    assert list(not_undone(file.look())) == []
    file.execution(4, Status.DONE, lost)
    file.execution(5, Status.DONE, kept, part)
    assert [what.partition(" undid ")[0] for what in not_undone(file.look())] == [
        "execution 262145",
        "execution 327681",
    ]


def test_what_was_begun_ends_but_in_a_loser(file: File) -> None:
    file.execution(1, Status.DONE, SleepOpened("race#0/1/sleep#0", 9), Raced("race#0", 0))
    file.execution(2, Status.DONE, SleepOpened("sleep#0", 9), Raced("race#0", 0))
    file.execution(3, Status.WAITING, SleepOpened("sleep#0", 9))
    assert list(half_done(file.look())) == []
    file.execution(4, Status.DONE, Begun("gather#0/1/charge#0", 1, "charge", b"[]"))
    file.execution(5, Status.DONE, SleepOpened("race#0/0/sleep#0", 9), Raced("race#0", 0))
    assert [what.partition(" is ")[0] for what in half_done(file.look())] == ["execution 262145", "execution 327681"]
