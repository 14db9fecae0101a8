"""A kept file is as good as a fresh one, and a dead node's connection works no more."""

from pathlib import Path

import apsw
import pytest

from onstage.stores.sqlite.connection import Guard
from onstage.testing.world.kept_file import IN_ONE_PROCESS, TABLES, KeptFile
from onstage.testing.world.playing import Ground, play
from onstage.testing.world.world_run import Result

PUT = "INSERT INTO onstage_meta VALUES ('who', ?) -- test"
WHO = "SELECT value FROM onstage_meta WHERE name = 'who'"


def test_what_a_killed_node_had_not_committed_is_gone(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "kept.db")
    first = kept.open_writer(kept.path, "OFF", IN_ONE_PROCESS)
    first.execute(PUT, ("one",))
    first.execute("BEGIN IMMEDIATE")
    first.execute("UPDATE onstage_meta SET value = 'two'")
    first.close(True)
    second = kept.open_writer(kept.path, "OFF", IN_ONE_PROCESS)
    assert second.execute(WHO).fetchall() == [("one",)]
    assert not second.in_transaction
    second.close()
    kept.close()


def test_a_closed_handle_works_no_more(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "kept.db")
    handle = kept.open_writer(kept.path, "OFF", IN_ONE_PROCESS)
    assert kept.lent == 1
    handle.close()
    assert kept.lent == 0
    handle.close()
    assert kept.lent == 0, "a connection is given back once"
    with pytest.raises(apsw.ConnectionClosedError):
        handle.execute(WHO)
    with pytest.raises(apsw.ConnectionClosedError):
        handle.executemany(PUT, [("x",)])
    with pytest.raises(apsw.ConnectionClosedError):
        _ = handle.in_transaction
    kept.close()


def test_the_guard_of_one_node_does_not_bind_the_next(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "kept.db")
    handle = kept.open_writer(kept.path, "OFF", IN_ONE_PROCESS)
    handle.execute("BEGIN IMMEDIATE")
    with pytest.raises(PermissionError):
        Guard(handle, lambda: 0.0).run(lambda session: session.execute(PUT, ("user",)))
    handle.authorizer = lambda *_: apsw.SQLITE_DENY
    with pytest.raises(apsw.AuthError):
        handle.execute(PUT + " denied", ("x",))
    handle.close()
    after = kept.open_writer(kept.path, "OFF", IN_ONE_PROCESS)
    after.execute(PUT + " allowed", ("engine",))
    assert after.execute(WHO).fetchall() == [("engine",)]
    after.close()
    kept.close()


def test_more_connections_than_are_kept_are_opened(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "kept.db")
    readers = [kept.open_reader(kept.path, IN_ONE_PROCESS) for _ in range(6)]
    assert [reader.execute("SELECT 7").fetchall() for reader in readers] == [[(7,)]] * 6
    with pytest.raises(apsw.ReadOnlyError):
        readers[0].execute(PUT, ("reader",))
    for reader in readers:
        reader.close()
    assert kept.lent == 0
    kept.close()


def test_an_emptied_file_has_no_rows_and_writes_its_log_from_the_start(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "kept.db")
    writer = kept.open_writer(kept.path, "OFF", IN_ONE_PROCESS)
    writer.execute("CREATE TABLE effect (id INTEGER PRIMARY KEY, place TEXT)")
    writer.execute("INSERT INTO effect (place) VALUES ('x')")
    writer.execute(PUT, ("one",))
    writer.close()
    kept.empty()
    reader = kept.open_reader(kept.path, IN_ONE_PROCESS)
    tables = [name for (name,) in reader.execute(TABLES)]
    assert {"effect", "onstage_event", "onstage_meta"} <= set(tables)
    rows = [f'SELECT 1 FROM "{name}"' for name in tables]  # noqa: S608  a table's own name
    assert reader.execute(" UNION ALL ".join(rows)).fetchall() == []
    reader.close()
    log = kept.path.with_name("kept.db-wal")
    size = log.stat().st_size
    writer = kept.open_writer(kept.path, "OFF", IN_ONE_PROCESS)
    writer.execute(PUT, ("two",))
    writer.close()
    assert log.stat().st_size == size > 0
    kept.close()


def seen(result: Result) -> tuple[object, ...]:
    return result.trace_hash, result.events, result.commits, sorted(result.marks), result.violations


def test_a_world_is_the_same_whatever_was_played_on_its_file_before() -> None:
    with Ground() as ground:
        one_after_the_other = [seen(ground.play(seed)) for seed in (3, 4, 5, 3)]
    assert one_after_the_other == [seen(play(seed)) for seed in (3, 4, 5, 3)]
