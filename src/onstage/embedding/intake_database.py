"""The intake table as the node reads it: on SQLite, on PostgreSQL, or through an engine of SQLAlchemy.

An SQLite file of the user's is opened with the standard library's `sqlite3`, not with the node's own SQLite: two copies
of that library on one file in one process free each other's locks, and it is `sqlite3` that users have.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any, Final, TypeVar, cast, final
from urllib.parse import unquote, urlsplit

from onstage.embedding.intake_row import TABLE, Dialect, IntakeRow, ddl
from onstage.embedding.joining import named
from onstage.errors import UsageError

__all__ = ["IntakeDatabase", "intake_database"]

T = TypeVar("T")
BUSY_S: Final = 5.0


_Work = Callable[[Callable[[str, Sequence[Any]], Any]], T]


@final
class IntakeDatabase:
    """The rows that wait, in order. Every method is one transaction; what a driver raises passes through."""

    def __init__(self, run: Callable[[_Work[Any]], Any], dialect: Dialect, close: Callable[[], Any]) -> None:
        """`run` runs a function with an `execute` in a transaction and answers an awaitable of its result.

        `execute(sql, values)` takes `?` for each value and answers rows, if there are any.
        """
        self._run = run
        self._dialect = dialect
        self._close = close

    async def prepare(self) -> None:
        """Make the table, if it is not there."""
        try:
            await self._run(lambda execute: execute(ddl(self._dialect), ()))
        except Exception:  # noqa: BLE001  another one has just made it, or may, and we may not: the next line tells
            await self.waiting(1)

    async def waiting(self, limit: int) -> list[IntakeRow]:
        """The first rows that are not refused, in order."""
        sql = (
            f"SELECT n, id, type, data, attributes FROM {TABLE} "  # noqa: S608  constants
            f"WHERE refused IS NULL ORDER BY n LIMIT {int(limit)}"
        )
        rows = await self._run(lambda execute: execute(sql, ()))
        return [IntakeRow(*row) for row in rows]

    async def remove(self, numbers: Sequence[int]) -> None:
        """Forget rows that were taken."""
        sql = f"DELETE FROM {TABLE} WHERE n = ?"  # noqa: S608  constants

        def work(execute: Callable[[str, Sequence[Any]], Any]) -> None:
            for n in numbers:
                execute(sql, (n,))

        await self._run(work)

    async def refuse(self, n: int, why: str) -> None:
        """Set a row aside."""
        sql = f"UPDATE {TABLE} SET refused = ? WHERE n = ?"  # noqa: S608  constants
        await self._run(lambda execute: execute(sql, (why.replace("\0", ""), n)))

    async def close(self) -> None:
        """Close what was opened here; an engine of the user's stays open."""
        with suppress(Exception):
            await self._close()


def intake_database(where: Any) -> IntakeDatabase:
    """The database behind a URL, `sqlite:///PATH` or `postgresql://...`, or an Engine or AsyncEngine of SQLAlchemy.

    Raises UsageError for anything else, or if its driver is not installed.
    """
    if not isinstance(where, str):
        return _of_engine(where)
    scheme = urlsplit(where).scheme
    if scheme == "sqlite":
        return _of_sqlite(unquote(urlsplit(where).path[1:]))
    if scheme in ("postgresql", "postgres"):
        return _of_postgres(where)
    raise UsageError(
        f"{scheme or 'this'} is no intake database\n  why: it knows sqlite:///PATH, postgresql://... and engines\n"
        "  to do: name the database in which emit_in writes"
    )


def _of_sqlite(path: str) -> IntakeDatabase:
    import sqlite3

    def connect() -> Any:
        return sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)

    return _of_connections(connect, "sqlite")


def _of_postgres(url: str) -> IntakeDatabase:
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise UsageError(
            f"an intake on PostgreSQL needs psycopg\n  why: {error}\n  to do: pip install 'onstage[postgres]'"
        ) from error

    def connect() -> Any:
        return psycopg.connect(url, connect_timeout=int(BUSY_S), application_name="onstage intake")

    return _of_connections(connect, "postgresql")


def _of_connections(connect: Callable[[], Any], dialect: Dialect) -> IntakeDatabase:
    """A connection of our own for all transactions, made anew after an error; used by one thread at a time."""
    held: list[Any] = []
    busy = threading.Lock()  # whoever gives up waiting for a thread does not end it
    mark = "?" if dialect == "sqlite" else "%s"

    def in_transaction(work: _Work[T]) -> T:
        with busy:
            connection = held.pop() if held else connect()
            try:
                with closing(connection.cursor()) as cursor:
                    answer = work(lambda sql, values: _rows(cursor, sql.replace("?", mark), values))
                connection.commit()
            except BaseException:
                with suppress(Exception):
                    connection.close()
                raise
            held.append(connection)
        return answer

    def close_held() -> None:
        with busy:
            while held:
                held.pop().close()

    async def run(work: _Work[T]) -> T:
        return await asyncio.to_thread(in_transaction, work)

    async def close() -> None:
        await asyncio.to_thread(close_held)

    return IntakeDatabase(run, dialect, close)


def _rows(cursor: Any, sql: str, values: Sequence[Any]) -> Any:
    cursor.execute(sql, values) if values else cursor.execute(sql)
    return cursor.fetchall() if cursor.description else None


def _of_engine(engine: Any) -> IntakeDatabase:
    dialect = getattr(engine, "dialect", None)
    if dialect is None or dialect.name not in ("sqlite", "postgresql"):
        raise UsageError(
            f"{type(engine).__qualname__} is no intake database\n"
            "  why: it is no URL and no engine of SQLAlchemy on SQLite or PostgreSQL\n"
            "  to do: name the database in which emit_in writes"
        )

    def on(connection: Any, work: _Work[T]) -> T:
        def execute(sql: str, values: Sequence[Any]) -> Any:
            result = connection.execute(*named(sql, values))
            return result.fetchall() if result.returns_rows else None

        return work(execute)

    def in_transaction(work: _Work[T]) -> T:
        with engine.begin() as connection:
            return on(connection, work)

    async def run(work: _Work[T]) -> T:
        if not hasattr(engine, "sync_engine"):
            return await asyncio.to_thread(in_transaction, work)
        async with engine.begin() as connection:
            return cast("T", await connection.run_sync(on, work))

    async def close() -> None:
        return

    return IntakeDatabase(run, dialect.name, close)
