"""I5: events without a stored, earlier cause are seen."""

import pytest
from tests.unit.testing.checks.filing import File

from onstage.events.receipt import Status
from onstage.testing.checks.event_causes import without_cause


@pytest.mark.parametrize(
    ("cause", "hlc", "process", "complaint"),
    [
        (1, 9, 1, ""),
        (1, 1, 1, "is not later than its cause"),
        (3, 9, 1, "which is not stored"),
        (1, 9, 9, "was caused in process 1"),
    ],
)
def test_a_cause_is_stored_and_earlier_and_of_the_same_process(
    file: File, cause: int, hlc: int, process: int, complaint: str
) -> None:
    file.event(1)
    file.execution(1, Status.DONE)
    file.event(2, process=process, cause=cause << 16 | 1, hlc=hlc)
    found = list(without_cause(file.look()))
    assert len(found) == bool(complaint)
    assert complaint in "".join(found)
