"""Opening an SQLite file, its lock, its layout, and the guard of a user's transaction."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from onstage.errors import NodeRunning, SchemaTooNew, StoreUnavailable
from onstage.stores.sqlite.connection import (
    Guard,
    check_part,
    kind_of,
    lock,
    migrate,
    open_reader,
    open_writer,
    read_meta,
    unlock,
)
from onstage.stores.sqlite.queries import migrations, query
from onstage.testing.power_vfs import Fault, FaultKind, PowerVFS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def guarded(clock: Callable[[], float]) -> tuple[apsw.Connection, Guard]:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE mine (x); BEGIN IMMEDIATE")
    return connection, Guard(connection, clock)


def test_a_file_has_one_writer_and_the_second_hears_who(path: Path) -> None:
    held = lock(path)
    with pytest.raises(NodeRunning) as caught:
        lock(path)
    assert f"process {os.getpid()}" in str(caught.value)
    assert "to do: publish through it" in str(caught.value)
    unlock(held)
    unlock(lock(path))


def test_a_lock_tells_only_the_pid_of_its_holder(path: Path) -> None:
    unlock(lock(path))
    Path(f"{path}.lock").write_text("123456789012345")
    held = lock(path)
    assert Path(f"{path}.lock").read_text() == str(os.getpid())
    assert Path(f"{path}.lock").stat().st_mode & 0o077 == 0
    unlock(held)


def test_a_missing_folder_is_told_in_plain_words(tmp_path: Path) -> None:
    for opening in (lock, open_reader, lambda path: open_writer(path, "FULL")):
        with pytest.raises(StoreUnavailable, match="to do: check the path"):
            opening(tmp_path / "none" / "store.db")


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"hello " * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_writer(path, "FULL")


def test_the_writers_connection_keeps_every_promise(path: Path) -> None:
    connection = open_writer(path, "FULL")
    settings = [connection.pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys", "mmap_size")]
    assert settings == ["wal", 2, 1, 0]
    connection.close()


def test_the_readers_connection_cannot_write(path: Path) -> None:
    writer = open_writer(path, "FULL")
    migrate(writer, path)
    reader = open_reader(path)
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM onstage_meta")
    reader.close()
    writer.close()


def test_a_reader_prepares_a_statement_once_whatever_is_bound(path: Path) -> None:
    migrate(open_writer(path, "FULL"), path)
    reader, prepared = open_reader(path), list[int]()
    reader.authorizer = lambda action, *_: prepared.append(action) or apsw.SQLITE_OK
    for execution in range(3):
        reader.execute(query("execution"), (execution,)).fetchall()
        reader.execute(query("open_processes"), {"before": execution, "declared": None, "limit": 1}).fetchall()
        if not execution:
            assert prepared, "the first time"
            prepared.clear()
    assert prepared == []
    reader.close()


def test_an_empty_file_is_migrated_to_the_newest_layout_once(path: Path) -> None:
    connection = open_writer(path, "FULL")
    assert connection.pragma("user_version") == 0
    migrate(connection, path)
    assert connection.pragma("user_version") == migrations()[-1][0]
    connection.execute("INSERT INTO onstage_meta VALUES ('x', 1)")
    migrate(connection, path)
    assert (read_meta(connection, "x"), read_meta(connection, "y")) == (1, None)
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_a_newer_layout_is_left_alone(path: Path) -> None:
    connection = open_writer(path, "FULL")
    connection.pragma("user_version", 9_999)
    with pytest.raises(SchemaTooNew, match="to do: upgrade"):
        migrate(connection, path)
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    connection.close()


def test_a_function_that_is_slow_in_python_is_refused_too() -> None:
    now = iter([0.0, *[5.0] * 9])
    connection, guard = guarded(lambda: next(now))
    with pytest.raises(TimeoutError, match="to do: make it shorter"):
        guard.run(lambda session: session.execute("INSERT INTO mine VALUES (1)"))
    assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_the_time_limit_begins_with_each_transaction() -> None:
    ticks = iter(range(100))
    connection, guard = guarded(lambda: next(ticks) * 0.9)
    for value in range(5):
        guard.run(lambda session, value=value: session.execute("INSERT INTO mine VALUES (?)", (value,)))
    assert connection.execute("SELECT count(*) FROM mine").fetchone() == (5,)


def test_a_slow_statement_is_interrupted_and_the_batchs_transaction_survives_a_read() -> None:
    now = iter([0.0, *[5.0] * 9])
    connection, guard = guarded(lambda: next(now))
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 99999999) SELECT count(*) FROM n"
    with pytest.raises(TimeoutError):
        guard.run(lambda session: session.execute(slow))
    assert connection.in_transaction


def test_outside_a_transaction_nothing_is_refused() -> None:
    connection, guard = guarded(lambda: 0.0)
    with pytest.raises(PermissionError):
        guard.run(lambda session: session.execute("PRAGMA user_version"))
    assert connection.pragma("user_version") == 0


def test_an_error_of_the_function_comes_out_as_it_is() -> None:
    def fail(session: Any) -> None:
        session.execute("INSERT INTO mine VALUES (1)")
        raise ValueError("sold out")

    connection, guard = guarded(lambda: 0.0)
    with pytest.raises(ValueError, match="sold out"):
        guard.run(fail)
    assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_a_statement_that_was_left_half_read_is_closed_after_many_others() -> None:
    kept: list[apsw.Cursor] = []

    def work(session: Any) -> int:
        session.execute("INSERT INTO mine VALUES (1), (2)")
        kept.append(session.execute("SELECT x FROM mine"))
        assert next(kept[0]) == (1,)
        for n in range(1_000):
            session.execute("INSERT INTO mine VALUES (?)", (n,))
        return len(session._cursors)  # noqa: SLF001

    connection, guard = guarded(lambda: 0.0)
    assert guard.run(work) < 200, "those that have gone are forgotten"
    with pytest.raises(apsw.CursorClosedError):
        next(kept[0])
    connection.execute("COMMIT")
    assert connection.execute("SELECT count(*) FROM mine").fetchone() == (1_002,)


def test_rare_statements_outlast_those_of_many_batches(path: Path) -> None:
    connection = open_writer(path, "OFF")
    connection.execute("SELECT 1 -- rare").fetchall()
    for _ in range(400):
        connection.execute("SELECT 2").fetchall()
    misses = connection.cache_stats()["misses"]
    connection.execute("SELECT 1 -- rare").fetchall()
    assert connection.cache_stats()["misses"] == misses
    connection.close()


def content(path: Path) -> list[object]:
    connection = apsw.Connection(str(path))
    try:
        return [x for (x,) in connection.execute("SELECT length(x) FROM mine")]
    finally:
        connection.close(True)


def left_after_a_cut(vfs: PowerVFS, seed: int, folder: Path) -> list[object]:
    folder.mkdir()
    vfs.disk.leave(vfs.count, seed, folder)
    return content(folder / "store.db")


def test_no_journal_of_a_new_file_comes_back_after_a_power_cut(path: Path, tmp_path: Path) -> None:
    with PowerVFS("no-return") as vfs:
        connection = open_writer(path, "FULL", vfs.name)
        connection.execute("CREATE TABLE mine (x); INSERT INTO mine VALUES ('kept')")
        for seed in range(20):
            assert left_after_a_cut(vfs, seed, tmp_path / str(seed)) == [4]
        connection.close()


@pytest.mark.parametrize("size", [10, 300_000])
def test_what_a_failed_sync_left_in_the_log_is_written_once_more(size: int, path: Path, tmp_path: Path) -> None:
    with PowerVFS("renewed") as vfs:
        first = open_writer(path, "FULL", vfs.name)
        first.execute("CREATE TABLE mine (x)")
        vfs.fail(Fault(vfs.count, FaultKind.SYNC_ERROR))
        with pytest.raises(apsw.IOError):
            first.execute("INSERT INTO mine VALUES (zeroblob(?))", (size,))
        vfs.kill()
        with suppress(apsw.Error):
            first.close(True)
        second = open_writer(path, "FULL", vfs.name)
        assert second.execute("SELECT length(x) FROM mine").fetchall() == [(size,)], "the new process sees it"
        second.execute("INSERT INTO mine VALUES ('more')")
        for seed in range(10):
            assert left_after_a_cut(vfs, seed, tmp_path / str(seed)) == [size, 4], "and what it sees is durable"
        second.close()


def test_a_log_that_cannot_be_written_once_more_is_not_brought_to_the_file_either(path: Path) -> None:
    with PowerVFS("not-renewed") as vfs:
        first = open_writer(path, "FULL", vfs.name)
        first.execute("CREATE TABLE mine (x)")
        vfs.fail(Fault(vfs.count, FaultKind.SYNC_ERROR, times=2))
        with pytest.raises(apsw.IOError):
            first.execute("INSERT INTO mine VALUES ('perhaps')")
        vfs.kill()
        with suppress(apsw.Error):
            first.close(True)
        before = vfs.count
        with pytest.raises(StoreUnavailable, match="disk I/O error"):
            open_writer(path, "FULL", vfs.name)
        assert {operation.file for operation in vfs.disk.operations[before:]} == {f"{path}-wal"}


def test_a_log_is_renewed_on_the_real_disk_too(path: Path) -> None:
    first = open_writer(path, "FULL")
    first.execute("CREATE TABLE mine (x); INSERT INTO mine VALUES (zeroblob(300000))")
    log = Path(f"{path}-wal")
    before = log.read_bytes()
    assert len(before) > 300_000
    second = open_writer(path, "FULL")
    assert log.read_bytes() == before
    assert second.execute("SELECT length(x) FROM mine").fetchall() == [(300_000,)]
    first.close()
    second.close()


@pytest.mark.parametrize("known", ["whole", "part", "view"])
@pytest.mark.parametrize("asked", ["whole", "part", "view"])
def test_a_store_of_one_kind_is_not_opened_as_another(path: Path, known: str, asked: str) -> None:
    connection = open_writer(path, "FULL")
    migrate(connection, path)
    check_part(connection, path, known, has_events=False)
    assert kind_of(connection) == known
    if asked == known:
        check_part(connection, path, asked, has_events=True)
    else:
        with pytest.raises(StoreUnavailable, match=r"holds .*\n  why: .*\n  to do: "):
            check_part(connection, path, asked, has_events=True)
    assert kind_of(connection) == known
    connection.close()
