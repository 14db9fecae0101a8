"""Starts with no run or several, orphans, and results that were told otherwise are seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Answered, Asked, Rejected, encode_entry
from onstage.events.receipt import Status
from onstage.testing.checks.workflow_runs import badly_started, cancelled_seen, orphans, told_otherwise, value_of

CHILD = 2 << 16 | 2


def started(file: File, *, parent: Status = Status.DONE, child: Status = Status.DONE) -> None:
    file.do("insert into onstage_type values (8, 'onstage.start/shop.wait', 1), (9, 'onstage.answer/a', 1)")
    file.event(1)
    file.event(2, type=8, cause=1 << 16 | 1, process=1)
    file.execution(1, parent, Asked("start#0", 1, 2, None, CHILD))
    file.execution(2, child, handler=2, process=1)


def test_a_start_has_one_run_which_its_parent_knows(file: File) -> None:
    started(file)
    assert list(badly_started(file.look())) == []
    file.execution(2, Status.DONE, handler=1)
    file.do("delete from onstage_entry")
    assert [what[:7] for what in badly_started(file.look())] == ["start 2", "start 2"]


def test_an_open_child_of_a_cancelled_run_is_an_orphan(file: File) -> None:
    started(file, parent=Status.CANCELLED, child=Status.WAITING)
    assert list(orphans(file.look(), {})) == ["execution 65537 was cancelled, and its child 2 went on"]
    file.do("insert into onstage_entry values (?, 1, ?)", 1 << 16 | 1, encoded(Answered("start#0", 1, 0, b"")))
    assert list(orphans(file.look(), {})) == []


def test_a_child_that_was_done_long_after_its_parent_was_cancelled_was_not_told(file: File) -> None:
    started(file, parent=Status.CANCELLED, child=Status.DONE)
    parent = 1 << 16 | 1
    assert list(orphans(file.look(), {parent: 5.0, CHILD: 60.0})) == []
    assert len(list(orphans(file.look(), {parent: 5.0, CHILD: 160.0}))) == 1


def test_a_result_is_told_as_it_is_recorded(file: File) -> None:
    started(file)
    file.event(3, type=9, cause=CHILD)
    wire = {n: wire for wire, n in file.look().wires.items()}[2]
    assert list(told_otherwise(file.look(), {wire: b"{}"})) == []
    assert len(list(told_otherwise(file.look(), {wire: b"1"}))) == 1
    assert value_of(b'{"about":"x","value":7}') == 7


def test_cancelled_runs_are_told_apart(file: File) -> None:
    file.execution(1, Status.CANCELLED, Rejected("reject", "cancelled", cancelled=True))
    file.execution(2, Status.CANCELLED)
    assert cancelled_seen(file.look()) == (1, 1)


def encoded(entry: Answered) -> bytes:
    return encode_entry(entry)
