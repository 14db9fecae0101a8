"""From `emit_in` to the handler: over a table in SQLite and in PostgreSQL, into a node that was away meanwhile."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.pool import NullPool
from tests.unit.embedding.shop import APP, Placed

from onstage import App, Service
from onstage.cli.main import cli
from onstage.embedding.intake_database import IntakeDatabase
from onstage.embedding.intake_table import IntakeTable
from onstage.errors import UsageError
from onstage.stage import Stage


@pytest.fixture(params=["sqlite", "postgres"])
def users(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{folder}/users.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


def emit_in(stage: Stage, users: str, *placed: Placed, id: str | None = None) -> None:
    engine = sa.create_engine(users.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.begin() as connection:
        for each in placed:
            stage.emit_in(connection, each, id=id)


def left(users: str) -> list[tuple[str, str | None]]:
    sql = "SELECT type, refused FROM onstage_intake ORDER BY n"
    if users.startswith("sqlite"):
        with closing(sqlite3.connect(users.removeprefix("sqlite:///"))) as connection:
            return connection.execute(sql).fetchall()
    with psycopg.connect(users) as other:
        return other.execute(sql).fetchall()  # type: ignore[call-overload, no-any-return]


async def until_empty(users: str, count: int = 0) -> None:
    async with asyncio.timeout(10):
        while len([1 for _, refused in left(users) if refused is None]) > count:  # noqa: ASYNC110  nobody else tells
            await asyncio.sleep(0.01)


async def play(users: str, folder: Path) -> None:
    store = f"sqlite:///{folder}/node.db"
    async with APP.run(store, intake=users) as stage:
        await asyncio.to_thread(emit_in, stage, users, Placed("a1"), Placed("a2"))
        await until_empty(users)
        for key in ("a1", "a2"):
            assert str(await (await stage.process(key)).verdict(timeout=10)) == "completed (embed.paid)"
    away = APP.run(store)  # a web application's own stage, which is never entered
    emit_in(away, users, Placed("b1"), id="b")
    emit_in(away, users, Placed("b1"), id="b")  # the same again, before it was taken
    async with APP.run(store, intake=users) as stage:
        await until_empty(users)
        emitted = await stage.emit(Placed("b1"), id="b")  # and by the other way in: the same event
        assert emitted.id == (await stage.process("b1")).id
        async with stage.reading() as reader:
            assert [row.key for row in await reader.processes()] == ["b1", "a2", "a1"]
        listed = await asyncio.to_thread(CliRunner().invoke, cli, ["ps", "--store", store, "-o", "json"])
        assert [row["key"] for row in json.loads(listed.output)] == ["b1", "a2", "a1"]
        async with asyncio.timeout(10):  # it is counted a moment after the row is gone
            while 'onstage_intake_rows_total{outcome="taken"} 2' not in await stage.metrics_text():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def test_rows_are_taken_in_by_the_node_also_those_it_was_away_for(users: str, folder: Path) -> None:
    asyncio.run(play(users, folder))


def test_an_event_that_the_app_does_not_know_is_set_aside(folder: Path) -> None:
    users = f"sqlite:///{folder}/users.db"

    async def work() -> None:
        async with App(Service("empty")).run("memory:", intake=users) as stage:
            emit_in(stage, users, Placed("x"))
            await until_empty(users)

    asyncio.run(work())
    ((type_name, refused),) = left(users)
    assert type_name == "embed.placed"
    assert refused is not None
    assert "unknown event type" in refused


def test_a_client_takes_nothing_in(folder: Path) -> None:
    users, store = f"sqlite:///{folder}/users.db", f"sqlite:///{folder}/node.db"

    async def work() -> None:
        async with APP.run(store) as node, APP.run(store, intake=users) as client:
            assert (node.is_node, client.is_node) == (True, False)
            assert isinstance(client.intake, IntakeTable)
            assert client.intake.families() == []

    asyncio.run(work())


def test_a_database_that_cannot_be_one_is_refused_before_anything_runs(folder: Path) -> None:
    store = f"sqlite:///{folder}/node.db"
    with pytest.raises(UsageError, match="is no intake database"):
        APP.run(store, intake="mysql://x")
    with pytest.raises(UsageError, match="use @transaction"):
        APP.run(store, intake=store)


def test_an_event_whose_row_could_not_be_removed_is_handled_once(
    users: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the two: the event is durable, the row is still there."""
    store, tried = f"sqlite:///{folder}/node.db", asyncio.Event()

    async def remove(self: IntakeDatabase, numbers: Sequence[int]) -> None:
        tried.set()
        raise OSError("gone")

    async def work() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(IntakeDatabase, "remove", remove)
            async with APP.run(store, intake=users) as stage:
                await asyncio.to_thread(emit_in, stage, users, Placed("c1"), Placed("c2"))
                await tried.wait()
        assert len(left(users)) == 2
        async with APP.run(store, intake=users) as stage:
            await until_empty(users)
            async with stage.reading() as reader:
                assert [event.key for event in await reader.events(type="embed.placed")] == ["c1", "c2"]

    asyncio.run(work())


def test_who_gives_up_while_the_database_does_not_answer_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def prepare(self: IntakeDatabase) -> None:
        asked.set()
        await asyncio.Event().wait()

    async def work() -> None:
        stage = APP.run(f"sqlite:///{folder}/node.db", intake=f"sqlite:///{folder}/users.db")
        with monkeypatch.context() as patch:
            patch.setattr(IntakeDatabase, "prepare", prepare)
            entering = asyncio.create_task(stage.__aenter__())
            await asked.wait()
            entering.cancel()
            await asyncio.wait([entering])
        async with stage:  # the file is free, and so is the socket beside it
            assert stage.is_node

    asyncio.run(work())
