"""The intake table as the node reads it, on each database and through engines."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from onstage.embedding.intake_database import IntakeDatabase, intake_database
from onstage.embedding.intake_row import TABLE, IntakeRow
from onstage.errors import UsageError

INSERT = "INSERT INTO onstage_intake (id, type, data) VALUES ('a', 't', '1'), ('b', 't', '2'), ('c', 't', '3')"


def sync_engine(url: str) -> Any:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)


def async_engine(url: str) -> Any:
    named = url.replace("postgresql:", "postgresql+psycopg:").replace("sqlite:", "sqlite+aiosqlite:")
    return create_async_engine(named, poolclass=NullPool)


def write(url: str, sql: str) -> list[Any]:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            return connection.execute(sql).fetchall()
    with psycopg.connect(url) as other:
        cursor = other.execute(sql)  # type: ignore[call-overload]
        return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/users.db"
    found: str = request.getfixturevalue("postgres_url")
    write(found, f"DROP TABLE {TABLE}")
    return found


@pytest.mark.parametrize("opened", [str, sync_engine, async_engine])
def test_rows_are_read_in_order_removed_and_set_aside(url: str, opened: Callable[[str], Any]) -> None:
    async def work(database: IntakeDatabase) -> None:
        await database.prepare()
        await database.prepare()
        write(url, INSERT)
        first, second = await database.waiting(2)
        assert (first, second) == (IntakeRow(first.n, "a", "t", "1"), IntakeRow(first.n + 1, "b", "t", "2"))
        await database.remove([first.n])
        await database.refuse(second.n, "not today\0")
        assert [row.id for row in await database.waiting(10)] == ["c"]
        await database.close()

    asyncio.run(work(intake_database(opened(url))))
    assert write(url, "SELECT id, refused FROM onstage_intake ORDER BY n") == [("b", "not today"), ("c", None)]


def test_it_goes_on_after_the_database_was_away(server_url: str) -> None:
    async def work() -> None:
        database = intake_database(server_url)
        await database.prepare()
        with psycopg.connect(server_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onstage intake'"
            )
        with pytest.raises(psycopg.OperationalError):
            await database.waiting(1)
        assert await database.waiting(1) == []
        await database.close()

    asyncio.run(work())


@pytest.mark.parametrize("wrong", ["mysql://localhost/x", "users.db", object()])
def test_what_is_no_database_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is no intake database"):
        intake_database(wrong)
