"""I13: journals with gaps, or of another length, are seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Slept
from onstage.events.receipt import Status
from onstage.testing.checks.journal_shape import half_there


def test_gaps_and_lengths(file: File) -> None:
    file.execution(1, Status.DONE, Slept("sleep#0"), Slept("sleep#1"))
    assert list(half_there(file.look())) == []
    file.do("delete from onstage_entry where place = 0")
    assert list(half_there(file.look())) == [
        "the journal of execution 65537 has a gap: [1]",
        "execution 65537 says that it has 2 entries, and has 1",
    ]
    file.do("delete from onstage_execution")
    assert "the journal of execution 65537 belongs to none" in list(half_there(file.look()))
