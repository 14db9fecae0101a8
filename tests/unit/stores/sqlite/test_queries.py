"""Every named query: described, understood by SQLite, and answered from an index."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import apsw
import pytest

from onstage.stores.sqlite.connection import migrate, open_writer
from onstage.stores.sqlite.queries import insert_many, migrations, query, select_many

TEXT = (files("onstage.stores.sqlite") / "queries.sql").read_text(encoding="utf-8")
NAMES = re.findall(r"^-- name: (\w+)$", TEXT, re.MULTILINE)
# What is allowed to read a table from end to end: run once at a start, or paging over the whole log by its key.
SCANS = {"incarnations", "types", "handlers", "high_water", "writer_epoch", "newest_topology"}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_writer(tmp_path / "store.db", "FULL")
    migrate(connection, tmp_path / "store.db")
    yield connection
    connection.close()


def plan(connection: apsw.Connection, name: str) -> list[str]:
    sql = query(name)
    named = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    bindings = named or (1,) * sql.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]


def test_names_are_unique_and_described() -> None:
    assert len(NAMES) == len(set(NAMES)) > 30
    blocks = TEXT.split("-- name: ")[1:]
    silent = [block.split("\n")[0] for block in blocks if not re.match(r"-- [A-Z].*\.$", block.split("\n")[1])]
    assert silent == []


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        query("nothing")


@pytest.mark.parametrize("name", NAMES)
def test_a_query_is_understood(connection: apsw.Connection, name: str) -> None:
    sql = query(name)
    assert ";" not in sql
    named = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    assert connection.execute(f"EXPLAIN {sql}", named or (1,) * sql.count("?")).fetchall()


@pytest.mark.parametrize("name", sorted(set(NAMES) - SCANS))
def test_no_query_of_a_running_node_scans(connection: apsw.Connection, name: str) -> None:
    scans = [step for step in plan(connection, name) if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
    assert scans == []


@pytest.mark.parametrize("name", ["open_executions", "unread"])
def test_recovery_reads_only_what_is_open(connection: apsw.Connection, name: str) -> None:
    assert plan(connection, name)[0] == "SEARCH x USING INDEX onstage_execution_open (id>?)"


def test_open_processes_are_found_by_the_partial_index(connection: apsw.Connection) -> None:
    assert plan(connection, "open_processes") == ["SEARCH onstage_process USING INDEX onstage_process_open (id<?)"]


@pytest.mark.parametrize(
    "name", ["events", "events_of_process", "receipts", "processes", "mail", "open_executions", "executions_of_process"]
)
def test_a_page_is_read_in_the_order_of_its_index(connection: apsw.Connection, name: str) -> None:
    assert [step for step in plan(connection, name) if "TEMP B-TREE" in step] == []


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_many_rows_go_in_and_come_out_as_one_by_one(connection: apsw.Connection, count: int) -> None:
    rows = [(bytes([n]), n, b"payload") for n in range(count)]
    insert_many(connection, "insert_door", rows)
    stored = connection.execute("SELECT identity, n, payload FROM onstage_door ORDER BY n").fetchall()
    assert stored == rows
    wanted = {bytes([n]) for n in range(250)}
    assert sorted(select_many(connection, "peek_doors", wanted)) == rows
    assert select_many(connection, "peek_doors", {b"nobody"}) == []
    assert sorted(select_many(connection, "peek_doors", wanted - {b"\0"})) == rows[1:]


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 32, 33, 255, 256, 257, 600])
def test_a_look_up_finds_each_key_once(connection: apsw.Connection, count: int) -> None:
    rows = [(n.to_bytes(2), n, b"payload") for n in range(700)]
    insert_many(connection, "insert_door", rows)
    assert sorted(select_many(connection, "peek_doors", [row[0] for row in rows[:count]])) == rows[:count]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("insert_", "update_", "upsert_"))])
def test_a_statement_for_many_rows_says_the_same(connection: apsw.Connection, name: str) -> None:
    """All places of one row, and nothing else, are repeated."""
    width = query(name).count("?")
    with pytest.raises(apsw.ConstraintError):
        insert_many(connection, name, [(None,) * width] * 64)


def test_migrations_are_numbered_in_their_order() -> None:
    numbers = [number for number, _ in migrations()]
    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))
