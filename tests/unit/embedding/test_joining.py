"""`emit_in`: a row in the caller's own transaction, on every kind of connection, kept or lost with it."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import django
import psycopg
import pytest
import sqlalchemy as sa
from django.conf import settings
from django.db import connections, transaction
from django.db.utils import ConnectionDoesNotExist
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool
from tests.unit.embedding.shop import APP, Placed

from onstage.embedding.intake_row import TABLE, ddl
from onstage.embedding.joining import joined_to, named
from onstage.errors import InvalidEvent, UsageError

STAGE = APP.run("memory:")
ORDER = "INSERT INTO orders (id) VALUES ('o1')"
Write = Callable[[str, bool], None]


class Undone(Exception):
    pass


def engine_on(url: str, **options: Any) -> sa.Engine:
    """An engine that keeps no connection."""
    return sa.create_engine(alchemy(url), poolclass=NullPool, **options)


def alchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def through_session(url: str, fails: bool) -> None:
    engine = engine_on(url)
    with Session(engine) as session, session.begin():
        session.execute(sa.text(ORDER))
        assert STAGE.emit_in(session, Placed("o1"), id="a") is None
        undo_if(fails)


def through_scoped_session(url: str, fails: bool) -> None:
    session = scoped_session(sessionmaker(engine_on(url)))
    with session.begin():
        session.execute(sa.text(ORDER))
        STAGE.emit_in(session, Placed("o1"), id="a")
        undo_if(fails)


def through_connection(url: str, fails: bool) -> None:
    with engine_on(url).begin() as connection:
        connection.execute(sa.text(ORDER))
        STAGE.emit_in(connection, Placed("o1"), id="a")
        undo_if(fails)


def through_async_session(url: str, fails: bool) -> None:
    async def write() -> None:
        engine = create_async_engine(asynchronous(url), poolclass=NullPool)
        try:
            async with AsyncSession(engine) as session, session.begin():
                await session.execute(sa.text(ORDER))
                await STAGE.emit_in(session, Placed("o1"), id="a")
                undo_if(fails)
        finally:
            await engine.dispose()

    asyncio.run(write())


def through_async_connection(url: str, fails: bool) -> None:
    async def write() -> None:
        engine = create_async_engine(asynchronous(url), poolclass=NullPool)
        try:
            async with engine.begin() as connection:
                await connection.execute(sa.text(ORDER))
                await STAGE.emit_in(connection, Placed("o1"), id="a")
                undo_if(fails)
        finally:
            await engine.dispose()

    asyncio.run(write())


def asynchronous(url: str) -> str:
    return alchemy(url) if url.startswith("postgresql") else url.replace("sqlite://", "sqlite+aiosqlite://")


def through_psycopg(url: str, fails: bool) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(ORDER)
        STAGE.emit_in(connection, Placed("o1"), id="a")
        undo_if(fails)


def through_psycopg_cursor(url: str, fails: bool) -> None:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        with connection.cursor() as cursor:
            cursor.execute(ORDER)
            STAGE.emit_in(cursor, Placed("o1"), id="a")
        undo_if(fails)


def through_async_psycopg(url: str, fails: bool) -> None:
    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(ORDER)
            await STAGE.emit_in(connection, Placed("o1"), id="a")
            undo_if(fails)

    asyncio.run(write())


def through_django(url: str, fails: bool) -> None:
    connection = django_connection(url)
    try:
        with transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                cursor.execute(ORDER)
            STAGE.emit_in(connection, Placed("o1"), id="a")
            undo_if(fails)
    finally:
        connection.close()


def django_connection(url: str) -> Any:
    if not settings.configured:
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
        django.setup()
    parts = sa.make_url(url)
    engine = "postgresql" if url.startswith("postgresql") else "sqlite3"
    alias = f"{engine}-{parts.database}-{parts.port}"
    entry = {"ENGINE": f"django.db.backends.{engine}", "NAME": parts.database, "USER": parts.username or ""}
    entry |= {"HOST": parts.host or "", "PORT": parts.port or "", "PASSWORD": parts.password or ""}
    try:
        return connections[alias]
    except ConnectionDoesNotExist:
        connections.databases[alias] = {**connections.databases["default"], **entry}
        return connections[alias]


def undo_if(fails: bool) -> None:
    if fails:
        raise Undone


ANYWHERE: list[Write] = [
    through_session,
    through_scoped_session,
    through_connection,
    through_async_session,
    through_async_connection,
    through_django,
]
ONLY_POSTGRES: list[Write] = [through_psycopg, through_psycopg_cursor, through_async_psycopg]
WAYS = [
    *(pytest.param("sqlite_url", way, id=f"sqlite-{way.__name__}") for way in ANYWHERE),
    *(pytest.param("postgres_url", way, id=f"postgres-{way.__name__}") for way in ANYWHERE + ONLY_POSTGRES),
]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "users.db")) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
        connection.execute(ddl("sqlite"))
    return f"sqlite:///{tmp_path}/users.db"


def stored(url: str) -> tuple[int, list[Any]]:
    engine = engine_on(url)
    with engine.connect() as connection:
        orders = connection.execute(sa.text("SELECT count(*) FROM orders")).scalar_one()
        rows = connection.execute(sa.text("SELECT id, type, data, attributes FROM onstage_intake")).fetchall()
    return orders, [tuple(row) for row in rows]


@pytest.mark.parametrize(("database", "write"), WAYS)
def test_the_event_is_kept_or_lost_with_the_callers_transaction(
    database: str, write: Write, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(database)
    with pytest.raises(Undone):
        write(url, True)
    assert stored(url) == (0, [])
    write(url, False)
    assert stored(url) == (1, [("a", "embed.placed", '{"id":"o1","text":""}', None)])


def test_without_a_transaction_it_is_refused(postgres_url: str, sqlite_url: str) -> None:
    engine = engine_on(postgres_url, isolation_level="AUTOCOMMIT")
    with (
        psycopg.connect(postgres_url, autocommit=True) as connection,
        pytest.raises(UsageError, match="not in a transaction"),
    ):
        STAGE.emit_in(connection, Placed("o1"))
    with engine.connect() as connection, pytest.raises(UsageError, match="not in a transaction"):
        STAGE.emit_in(connection, Placed("o1"))
    with closing(django_connection(sqlite_url)) as connection, pytest.raises(UsageError, match=r"transaction\.atomic"):
        STAGE.emit_in(connection, Placed("o1"))
    assert stored(postgres_url) == stored(sqlite_url) == (0, [])


def test_a_missing_table_is_said_with_the_mend(sqlite_url: str, postgres_url: str) -> None:
    for url in (sqlite_url, postgres_url):
        engine = engine_on(url)
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP TABLE {TABLE}"))
        with engine.connect() as connection, pytest.raises(UsageError, match="start the node with intake="):
            STAGE.emit_in(connection, Placed("o1"))


def test_the_nodes_own_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(ddl("sqlite"))
    stage = APP.run(f"sqlite:///{path}")
    engine = engine_on(f"sqlite:///{path}")
    with engine.connect() as connection, pytest.raises(UsageError, match="use @transaction"):
        stage.emit_in(connection, Placed("o1"))


def test_what_is_no_connection_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, pytest.raises(UsageError, match="cannot join"):
        STAGE.emit_in(connection, Placed("o1"))
    with pytest.raises(UsageError, match=r"cannot join builtins\.object"):
        joined_to(object())


def test_what_no_door_would_take_is_refused_at_once(sqlite_url: str) -> None:
    engine = engine_on(sqlite_url)
    with engine.connect() as connection:
        with pytest.raises(InvalidEvent, match="bytes"):
            STAGE.emit_in(connection, Placed("o1", "x" * (1 << 20)))
        with pytest.raises(InvalidEvent, match="control character"):
            STAGE.emit_in(connection, Placed("o1"), id="no\ncontrols")
        with pytest.raises(InvalidEvent, match="cannot be encoded"):
            STAGE.emit_in(connection, Placed(object()))  # type: ignore[arg-type]


def test_a_statement_is_given_names_for_its_values() -> None:
    statement, values = named("INSERT INTO t VALUES (?, ?)", ("a", 2))
    assert (str(statement), values) == ("INSERT INTO t VALUES (:p0, :p1)", {"p0": "a", "p1": 2})
