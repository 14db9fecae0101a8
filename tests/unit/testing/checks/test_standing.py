"""All that must hold at any moment is looked at in one go, under the names of the invariants."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Rejected, Slept, Stepped
from onstage.events.receipt import Status
from onstage.testing.checks.standing import unsound


def test_an_empty_file_is_sound(file: File) -> None:
    assert list(unsound(file.look())) == []


def test_every_check_is_asked(file: File) -> None:
    file.event(1, cause=9 << 16)
    file.execution(2, Status.REJECTED, Stepped("a#0", 1, b"", 1, 1, 1, "undo", b""), Rejected("reject", "no"), length=7)
    file.execution(3, Status.RUNNING, Slept("sleep#0"), Slept("sleep#0"))
    file.do("insert into onstage_receipt (epoch, shard, seq, count, body) values (8, 1, 1, 0, x'90')")
    assert {invariant for invariant, _ in unsound(file.look())} == {"I5", "I6", "I8", "I9", "I12", "I13"}
