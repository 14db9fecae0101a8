"""I8: timers that fire twice, never, or far too late are seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Raced, SleepOpened, Slept, WaitOpened
from onstage.events.receipt import Status
from onstage.testing.checks.timer_ends import ended_twice, never_over, overdue


def test_a_sleep_ends_once(file: File) -> None:
    opened, over = SleepOpened("sleep#0", 9), Slept("sleep#0")
    file.execution(1, Status.DONE, opened, over)
    assert [*ended_twice(file.look()), *never_over(file.look())] == []
    file.execution(2, Status.DONE, opened, over, over)
    assert list(ended_twice(file.look())) == ["execution 131073 ended ['sleep#0'] more than once"]
    file.execution(3, Status.DONE, opened, WaitOpened("wait#0", ("a.b",), None))
    assert list(never_over(file.look())) == ["execution 196609 is done, and ['sleep#0', 'wait#0'] never ended"]


def test_a_sleep_that_has_lost_a_race_never_ends(file: File) -> None:
    file.execution(1, Status.DONE, SleepOpened("sleep#0", 9), Raced("race#0", 1))
    assert list(never_over(file.look())) == []


def test_what_is_due_and_does_not_begin_is_seen(file: File) -> None:
    file.execution(1, Status.WAITING, due=1_000)
    file.execution(2, Status.READY, due=1_000)
    assert list(overdue(file.rows, 1_500, 500)) == []
    assert list(overdue(file.rows, 1_501, 500)) == ["execution 65537 has been due for 501 ms, and nothing fired"]
