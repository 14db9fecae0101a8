"""I7: what may be said of a process."""

import pytest
from tests.unit.testing.checks.filing import File

from onstage.events.receipt import Status
from onstage.testing.checks.told_verdicts import truths


@pytest.mark.parametrize(
    ("statuses", "true"),
    [
        ((), {"dead end"}),
        ((Status.WAITING, Status.RETRYING), {"waiting"}),
        ((Status.READY, Status.WAITING), {"running"}),
        ((Status.READY, Status.PARKED), {"stuck"}),
        ((Status.DIVERGED,), {"stuck"}),
    ],
)
def test_what_is_open_decides(file: File, statuses: tuple[Status, ...], true: set[str]) -> None:
    file.process(1, is_open=len(statuses))
    for n, status in enumerate(statuses, 1):
        file.execution(n, status, process=1)
    assert truths(file.rows, "p1") == true


def test_behind_a_dead_letter_of_another_process_both_are_true(file: File) -> None:
    file.process(1, is_open=1)
    file.execution(1, Status.READY)
    file.execution(2, Status.PARKED)
    assert truths(file.rows, "p1") == {"running", "stuck"}


def test_an_outcome_is_completion_and_nothing_is_true_of_the_unknown(file: File) -> None:
    file.process(1, outcome="a.end")
    assert truths(file.rows, "p1") == {"completed"}
    assert truths(file.rows, "p2") == set()
