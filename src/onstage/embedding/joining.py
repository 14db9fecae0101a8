"""`emit_in`: a row in the intake table, written on the caller's own connection, inside the caller's transaction.

No driver is imported: what the caller hands in tells what it is by the module its class comes from, and that module is
imported already. Each kind of connection has two things to say: how to run a statement, and which parameters it takes.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from onstage.embedding.intake_row import COLUMNS, TABLE
from onstage.errors import UsageError

__all__ = ["Joined", "joined_to", "named", "refuse_file"]

_MISSING: Final = ("no such table", "does not exist", "undefinedtable")
_KINDS: Final = (
    ("sqlalchemy.ext.asyncio", "AsyncSession"),
    ("sqlalchemy.ext.asyncio", "AsyncConnection"),
    ("sqlalchemy.ext.asyncio", "async_scoped_session"),
    ("sqlalchemy", "Session"),
    ("sqlalchemy", "scoped_session"),
    ("sqlalchemy", "Connection"),
    ("django.db", "BaseDatabaseWrapper"),
    ("django.utils.connection", "ConnectionProxy"),
    ("psycopg", "AsyncConnection"),
    ("psycopg", "AsyncCursor"),
    ("psycopg", "Connection"),
    ("psycopg", "Cursor"),
)


class Joined(NamedTuple):
    """A caller's transaction: `execute(sql, values)` with `?` for each value answers rows, or an awaitable of them."""

    execute: Callable[[str, Sequence[Any]], Any]
    is_sqlite: bool
    is_async: bool

    def insert(self, values: Sequence[Any], store: Path | None) -> Awaitable[None] | None:
        """Write the row, once it is sure that this is not the node's own file; awaitable if the connection is."""
        if self.is_async:
            return self._insert_async(values, store)
        try:
            if self.is_sqlite:
                _refuse_own(self.execute(_FILES, ()), store)
            self.execute(_INSERT, values)
        except Exception as error:
            if (explained := _explained(error)) is None:
                raise
            raise explained from error
        return None

    async def _insert_async(self, values: Sequence[Any], store: Path | None) -> None:
        try:
            if self.is_sqlite:
                _refuse_own(await self.execute(_FILES, ()), store)
            await self.execute(_INSERT, values)
        except Exception as error:
            if (explained := _explained(error)) is None:
                raise
            raise explained from error


_FILES: Final = "PRAGMA database_list"
_INSERT: Final = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


def joined_to(tx: Any) -> Joined:
    """How to write into the transaction of `tx`. Raises UsageError for what is no known connection, or is in none."""
    match _kind(tx):
        case ("sqlalchemy.ext.asyncio", _):
            return _sqlalchemy(tx, is_async=True)
        case ("sqlalchemy", _):
            return _sqlalchemy(tx, is_async=False)
        case ("django.db" | "django.utils.connection", _):
            return _django(tx)
        case ("psycopg", name):
            return _psycopg(tx, name)
        case _:
            pass
    raise UsageError(
        f"emit_in cannot join {type(tx).__module__}.{type(tx).__qualname__}\n"
        "  why: it is no Session or Connection of SQLAlchemy, no connection of Django or psycopg\n"
        "  to do: give it the object on which the rest of your transaction runs; without one, await stage.emit(...)"
    )


def _kind(tx: Any) -> tuple[str, str] | None:
    named = {(cls.__module__, cls.__name__) for cls in type(tx).__mro__}
    for module, name in _KINDS:
        if any(name == found and within.startswith(module) for within, found in named):
            return module, name
    return None


def _sqlalchemy(tx: Any, *, is_async: bool) -> Joined:
    if hasattr(tx, "registry"):  # a scoped session hands out the one of this thread or task
        tx = tx()
    is_session = hasattr(tx, "get_bind")

    def execute(sql: str, values: Sequence[Any]) -> Any:
        connection = tx.connection() if is_session else tx
        _refuse_autocommit(connection)
        return _fetched(connection.execute(*named(sql, values)))

    async def execute_async(sql: str, values: Sequence[Any]) -> Any:
        connection = await tx.connection() if is_session else tx
        _refuse_autocommit(connection.sync_connection)
        return _fetched(await connection.execute(*named(sql, values)))

    dialect = (tx.get_bind() if is_session else tx).dialect
    return Joined(execute_async if is_async else execute, _is_sqlite(dialect.name), is_async)


def _refuse_autocommit(connection: Any) -> None:
    raw = connection.connection.dbapi_connection
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT" or getattr(raw, "autocommit", None) is True:
        raise _no_transaction("the connection is in autocommit mode")


def named(sql: str, values: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
    """A statement with `?` for each value as SQLAlchemy takes it for any driver."""
    text = sys.modules["sqlalchemy"].text
    parts = sql.split("?")
    names = [f"p{at}" for at in range(len(values))]
    joined = parts[0] + "".join(f":{name}{part}" for name, part in zip(names, parts[1:], strict=True))
    return text(joined), dict(zip(names, values, strict=True))


def _fetched(result: Any) -> Any:
    return result.fetchall() if result.returns_rows else None


def _is_sqlite(database: str) -> bool:
    """Whether this is SQLite and not PostgreSQL. Raises UsageError for another one."""
    if database not in ("sqlite", "postgresql"):
        raise UsageError(
            f"emit_in cannot write to {database}\n  why: it knows SQLite and PostgreSQL\n"
            "  to do: use stage.emit(...) when your transaction has committed"
        )
    return database == "sqlite"


def _django(tx: Any) -> Joined:
    if not tx.in_atomic_block:
        raise _no_transaction("there is no transaction.atomic() around it")

    def execute(sql: str, values: Sequence[Any]) -> Any:
        with tx.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), values or None)
            return cursor.fetchall() if cursor.description else None

    return Joined(execute, _is_sqlite(tx.vendor), is_async=False)


def _psycopg(tx: Any, name: str) -> Joined:
    connection = tx.connection if name.endswith("Cursor") else tx
    status = sys.modules["psycopg"].pq.TransactionStatus
    if connection.autocommit and connection.info.transaction_status == status.IDLE:
        raise _no_transaction("the connection is in autocommit mode, and in no `with connection.transaction()`")

    async def execute_async(sql: str, values: Sequence[Any]) -> None:
        async with connection.cursor() as cursor:
            await cursor.execute(sql.replace("?", "%s"), values)

    def execute(sql: str, values: Sequence[Any]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), values)

    is_async = name.startswith("Async")
    return Joined(execute_async if is_async else execute, is_sqlite=False, is_async=is_async)


def _no_transaction(why: str) -> UsageError:
    return UsageError(
        f"emit_in is not in a transaction\n  why: {why}, so the event would be durable before what it belongs to\n"
        "  to do: begin one around both, or use stage.emit(...)"
    )


def _refuse_own(files: Any, store: Path | None) -> None:
    for row in files or ():
        if row[2] and store is not None:
            refuse_file(store, row[2])


def refuse_file(store: Path, file: str) -> None:
    """Refuse a database of the user's that is the node's own file. Raises UsageError."""
    if store.resolve() != Path(file).resolve():
        return
    raise UsageError(
        f"the intake cannot be in the node's own file {store}\n"
        "  why: another SQLite library in this process would free the node's locks, and the node writes alone\n"
        "  to do: use @transaction in a handler, which commits with it; or keep your tables in another file"
    )


def _explained(error: Exception) -> UsageError | None:
    """What to do about a missing table; None for any other error, which is for the caller's own code to see."""
    text = str(error).lower()
    if TABLE not in text or not any(sign in text for sign in _MISSING):
        return None
    return UsageError(
        f"there is no table {TABLE} in this database\n  why: {' '.join(str(error).split())}\n"
        "  to do: start the node with intake=..., which makes it, or run what intake_row.ddl(...) answers"
    )
