"""The VFS that records, fails and goes dark, with real SQLite on top of it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from onstage.testing.power_vfs import Fault, FaultKind, PowerVFS


@pytest.fixture
def vfs() -> Iterator[PowerVFS]:
    with PowerVFS("unit") as made:
        yield made


def opened(vfs: PowerVFS, path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=vfs.name)
    connection.execute("pragma synchronous = extra")  # else the first journal may come back
    assert connection.pragma("journal_mode", "wal") == "wal", "shared memory comes from the VFS below"
    connection.execute("pragma synchronous = full; create table if not exists mine (x)")
    return connection


def insert(connection: apsw.Connection) -> None:
    connection.execute("insert into mine values (1)")


def counted(folder: Path) -> int:
    connection = apsw.Connection(str(folder / "store.db"))
    try:
        found: int = connection.execute("select count(*) from mine").fetchall()[0][0]
        return found
    finally:
        connection.close(True)


def test_every_change_of_a_lasting_file_is_recorded(vfs: PowerVFS, tmp_path: Path) -> None:
    connection = opened(vfs, tmp_path / "store.db")
    connection.execute("create temp table passing (x); insert into passing values (1)")
    connection.close()
    files = {Path(operation.file).name for operation in vfs.disk.operations}
    assert files == {"store.db", "store.db-journal", "store.db-wal"}
    kinds = Counter(operation.kind for operation in vfs.disk.operations)
    assert kinds["create"] == 3
    assert kinds["delete"] == 2
    assert vfs.count == len(vfs.disk.operations)
    real = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    synced = {Path(path).name: content for path, content in vfs.disk.survivors(vfs.count, 0).items()}
    assert synced["store.db"] == real["store.db"]


def test_a_file_that_was_there_before_counts_as_durable(vfs: PowerVFS, tmp_path: Path) -> None:
    opened(vfs, tmp_path / "store.db").close()
    with PowerVFS("later") as later:
        connection = opened(later, tmp_path / "store.db")
        insert(connection)
        assert later.disk.operations[0].kind == "found"
        (tmp_path / "left").mkdir()
        later.disk.leave(later.count, 1, tmp_path / "left")
        assert counted(tmp_path / "left") == 1
        connection.close()


def test_after_a_cut_nothing_works_and_nothing_is_recorded(vfs: PowerVFS, tmp_path: Path) -> None:
    connection = opened(vfs, tmp_path / "store.db")
    insert(connection)
    vfs.fail(Fault(vfs.count + 1, FaultKind.CUT))
    with pytest.raises(apsw.IOError):
        insert(connection)
    count = vfs.count
    assert vfs.is_cut
    assert [kind for _, kind in vfs.met] == [FaultKind.CUT]
    with pytest.raises(apsw.Error):
        apsw.Connection(str(tmp_path / "store.db"), vfs=vfs.name).execute("select * from mine")
    with pytest.raises(apsw.Error):
        connection.close(True)
    assert vfs.count == count
    (tmp_path / "left").mkdir()
    vfs.disk.leave(count, 0, tmp_path / "left")
    assert counted(tmp_path / "left") == 1


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        (FaultKind.SYNC_ERROR, apsw.IOError, "disk I/O error"),
        (FaultKind.WRITE_ERROR, apsw.IOError, "disk I/O error"),
        (FaultKind.FULL, apsw.FullError, "database or disk is full"),
        (FaultKind.SHORT_WRITE, apsw.FullError, "database or disk is full"),
    ],
)
def test_a_fault_meets_as_many_operations_as_it_says(
    kind: FaultKind, error: type[apsw.Error], said: str, vfs: PowerVFS, tmp_path: Path
) -> None:
    connection = opened(vfs, tmp_path / "store.db")
    vfs.fail(Fault(vfs.count, kind, times=2))
    for _ in range(2):
        with pytest.raises(error, match=said):
            insert(connection)
    insert(connection)
    assert [met for _, met in vfs.met] == [kind, kind]
    connection.close()
    assert counted(tmp_path) == 1


def test_a_fault_that_is_healed_does_not_come(vfs: PowerVFS, tmp_path: Path) -> None:
    connection = opened(vfs, tmp_path / "store.db")
    vfs.fail(Fault(0, FaultKind.FULL, times=100))
    with pytest.raises(apsw.FullError):
        insert(connection)
    vfs.heal()
    insert(connection)
    connection.close()


def test_a_short_write_leaves_its_first_half(vfs: PowerVFS, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = opened(vfs, path)
    log = Path(f"{path}-wal")
    vfs.fail(Fault(vfs.count + 1, FaultKind.SHORT_WRITE))
    with pytest.raises(apsw.FullError):
        insert(connection)
    half = vfs.disk.operations[vfs.met[0][0]]
    assert (half.kind, len(half.data)) == ("write", 2048)
    assert log.read_bytes()[half.offset : half.offset + 2048] == half.data
    connection.close()


def test_a_lost_sync_is_believed_and_does_nothing(vfs: PowerVFS, tmp_path: Path) -> None:
    connection = opened(vfs, tmp_path / "store.db")
    vfs.fail(Fault(vfs.count, FaultKind.LOST_SYNC))
    insert(connection)
    found = set()
    for seed in range(20):
        (tmp_path / str(seed)).mkdir()
        vfs.disk.leave(vfs.count, seed, tmp_path / str(seed))
        found.add(counted(tmp_path / str(seed)))
    assert found == {0, 1}
    connection.close()


def test_a_killed_process_writes_nothing_more_and_the_next_one_sees_what_it_wrote(
    vfs: PowerVFS, tmp_path: Path
) -> None:
    first = opened(vfs, tmp_path / "store.db")
    insert(first)
    vfs.kill()
    count = vfs.count
    with pytest.raises(apsw.IOError):
        insert(first)
    with pytest.raises(apsw.Error):
        first.close(True)
    assert vfs.count == count
    second = opened(vfs, tmp_path / "store.db")
    assert second.execute("select count(*) from mine").fetchall() == [(1,)]
    second.close()


def test_operations_are_announced_before_they_happen(vfs: PowerVFS, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    vfs.on_operation = lambda number: heard.append((number, vfs.count))
    opened(vfs, tmp_path / "store.db").close()
    assert heard == [(number, number) for number in range(vfs.count)]


def test_whoever_waits_for_a_lock_asks_again_at_once(vfs: PowerVFS, tmp_path: Path) -> None:
    holder, other = opened(vfs, tmp_path / "store.db"), opened(vfs, tmp_path / "store.db")
    other.set_busy_timeout(3_600_000)
    holder.execute("begin immediate")
    assert vfs.xSleep(5_000_000) == 5_000_000
    other.set_busy_timeout(1)
    with pytest.raises(apsw.BusyError):
        other.execute("begin immediate")
    holder.execute("rollback")
    holder.close()
    other.close()
