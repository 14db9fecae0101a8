"""I6 over processes: what a wave left, did twice or too early is seen."""

import pytest
from tests.unit.testing.checks.filing import File

from onstage.core.journal import Stepped
from onstage.core.undoing import UNDO, Undoing, encode_undoing
from onstage.events.receipt import Status
from onstage.testing.checks.undone_processes import undone_in_wrong_order, waved

STEP = Stepped("charge#0", 1, b"1", 1, 1, 1, "refund", b"[]")
DONE, DROPPED = Status.DONE, Status.DROPPED


def two_steps(file: File, state: str, *undone: tuple[int, Status], exempt: int = 0) -> list[str]:
    """Event 1 leads to event 2, both with a step; `undone` are whose steps were, and how that ended."""
    file.do("insert into onstage_type values (3, ?, 1)", UNDO)
    file.process(1)
    file.event(1)
    first = file.execution(1, DONE, STEP)
    file.event(2, process=1, cause=first)
    file.execution(2, DONE, STEP, process=1)
    for n, (of, status) in enumerate(undone, 3):
        file.event(n, process=1, type=3)
        order = f'{{"execution": {of << 16 | 1}, "segment": 0}}'.encode()
        file.do("update onstage_event set data = ? where n = ?", order, n)
        file.execution(n, status, process=1)
    body = encode_undoing(Undoing("why", 1, exempt))
    file.do("insert into onstage_wave values (1, 1, ?, ?)", state, body)
    return list(undone_in_wrong_order(file.look()))


@pytest.mark.parametrize(
    ("undone", "complaints"),
    [
        (((2, DONE), (1, DONE)), []),
        (((1, DONE), (2, DONE)), ["was undone before"]),
        (((2, DONE),), ["is undone, but not ['charge#0'] of execution 65537"]),
        (((2, DONE), (1, DONE), (1, DONE)), ["has 2 undo runs"]),
        (((2, DROPPED), (1, DONE)), ["is undone, but not"]),
    ],
)
def test_each_step_is_undone_once_after_what_it_led_to(
    file: File, undone: tuple[tuple[int, Status], ...], complaints: list[str]
) -> None:
    found = two_steps(file, "compensated", *undone)
    assert len(found) == len(complaints)
    assert all(part in what for part, what in zip(complaints, found, strict=True))


def test_what_was_dropped_is_residue_and_what_is_exempt_stays(file: File) -> None:
    assert two_steps(file, "compensated with residue", (2, DROPPED), (1, DONE)) == []


def test_what_follows_from_the_outcome_that_decided_stays(file: File) -> None:
    assert two_steps(file, "compensated", (1, DONE), exempt=2) == []


def test_what_is_under_way_has_time_and_a_pivot_is_no_wave(file: File) -> None:
    assert two_steps(file, "compensating", (2, DONE)) == []
    assert waved(file.look()) == {1: "compensating"}
    file.do("update onstage_wave set state = 'pivoted'")
    assert waved(file.look()) == {}
    assert list(undone_in_wrong_order(file.look())) == []
