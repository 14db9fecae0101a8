"""The onlooker believes its own eyes only."""

from pathlib import Path

import apsw

from onstage.core.commit import Commit
from onstage.core.journal import SleepOpened, Slept
from onstage.observe.verdict import Verdict
from onstage.stores.sqlite.connection import migrate, open_reader
from onstage.testing.world.onlooker import MARKS, Onlooker


def looking(tmp_path: Path, *statements: str) -> Onlooker:
    path = tmp_path / "seen.db"
    connection = apsw.Connection(str(path))
    migrate(connection, path)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    onlooker = Onlooker()
    onlooker.open(open_reader(path))
    return onlooker


PROCESS = "insert into onstage_process values (1, 'p', 'order', 'k', x'01', 1, null, 0, null, 0, 0)"
WAITING = "insert into onstage_execution values (65537, 1, 2, 1, 0, 0, 1, 0, null, 0, 0, 0, null, null)"


def test_a_step_without_a_durable_cause_is_seen(tmp_path: Path) -> None:
    onlooker = looking(tmp_path, WAITING)
    onlooker.called(65537, "charge#0")
    assert onlooker.violations == []
    onlooker.called(65538, "charge#0")
    assert onlooker.violations == ["barrier: charge#0 of execution 65538 runs, and its cause is not durable"]


def test_an_acknowledgement_of_what_is_not_on_disk_is_seen(tmp_path: Path) -> None:
    onlooker = looking(tmp_path)
    onlooker.answered(b"identity", "p", "client-1")
    assert [what.partition(":")[0] for what in onlooker.violations] == ["I10"]


def test_a_verdict_that_is_not_true_is_seen(tmp_path: Path) -> None:
    onlooker = looking(tmp_path, PROCESS, WAITING)
    onlooker.told("p", Verdict("waiting"), set())
    assert onlooker.violations == []
    onlooker.told("p", Verdict("completed", "x"), set())
    assert len(onlooker.violations) == 1
    onlooker.told("p", Verdict("running"), {"running"})
    assert len(onlooker.violations) == 1


def test_a_timer_that_is_early_is_seen(tmp_path: Path) -> None:
    onlooker = looking(tmp_path)
    onlooker.appended(Commit(execution=65537, entries=(SleepOpened("sleep#0", 5_000),)), 1_000)
    onlooker.appended(Commit(execution=65537, entries=(Slept("sleep#0"),)), 4_999)
    assert onlooker.violations == ["I8: sleep#0 of execution 65537 was over 1 ms early"]


def test_marks_are_told_apart() -> None:
    assert len(set(MARKS)) == len(MARKS) > 20


def test_the_trace_depends_on_everything_in_order() -> None:
    one, other = Onlooker(), Onlooker()
    one.note("a", 1)
    one.note("b")
    other.note("b")
    other.note("a", 1)
    assert one.trace_hash != other.trace_hash
