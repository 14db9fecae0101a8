"""Opening and closing the SQLite store; the rest is in tests/contract/test_stores.py."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from onstage.errors import NodeRunning, SchemaTooNew, StoreUnavailable
from onstage.ports.clock import SystemClock
from onstage.ports.store import Declaration
from onstage.stores.sqlite import connection as files
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.commit_script import DECLARATION, CommitScript
from onstage.testing.inline_workers import InlineWorkers


def play(path: Path, story: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store = store_on(path)
        try:
            await story(store)
        finally:
            await store.close()

    asyncio.run(run())


def store_on(path: Path, lock_wait_s: float = 0) -> SqliteStore:
    return SqliteStore(path / "store.db", clock=SystemClock(), workers=InlineWorkers(), lock_wait_s=lock_wait_s)


def test_a_second_node_on_the_file_hears_who_has_it(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        await store.open(DECLARATION)
        second = store_on(tmp_path)
        with pytest.raises(NodeRunning, match=f"process {os.getpid()}"):
            await second.open(DECLARATION)
        await second.close()

    play(tmp_path, story)


def test_a_node_waits_for_a_short_writer(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        first = await store.open(DECLARATION)
        second = store_on(tmp_path, lock_wait_s=5)
        opening = asyncio.ensure_future(second.open(DECLARATION))
        await asyncio.sleep(0)
        await store.close()
        assert (await opening).epoch == first.epoch + 1
        await second.close()

    play(tmp_path, story)


def test_a_store_of_a_later_version_is_left_alone_and_let_go_of(tmp_path: Path) -> None:
    connection = files.open_writer(tmp_path / "store.db", "FULL")
    connection.pragma("user_version", 9_999)

    async def story(store: SqliteStore) -> None:
        with pytest.raises(SchemaTooNew):
            await store.open(DECLARATION)
        connection.pragma("user_version", 0)
        await store_on(tmp_path).open(DECLARATION)

    play(tmp_path, story)
    connection.close()


def test_a_file_locked_by_a_stranger_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BUSY_MS", 10)

    async def story(store: SqliteStore) -> None:
        await store.open(DECLARATION)
        await store.close()
        stranger = apsw.Connection(str(store.path))
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await store_on(tmp_path).open(DECLARATION)
        stranger.close()
        await store_on(tmp_path).open(DECLARATION)

    play(tmp_path, story)


def test_a_folder_that_is_missing_is_unavailable(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        with pytest.raises(StoreUnavailable):
            await store.open(DECLARATION)

    play(tmp_path / "none", story)


def test_a_wrong_script_of_a_service_is_told_and_the_file_is_let_go_of(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        with pytest.raises(StoreUnavailable, match="syntax error"):
            await store.open(Declaration((), (), {}, b"", ("CREATE TABLE fine (x); CREATE NONSENSE",)))
        opened = await store_on(tmp_path).open(Declaration((), (), {}, b"", ("SELECT 1; CREATE TABLE fine (x)",)))
        assert opened.epoch == 1
        assert apsw.Connection(str(store.path)).table_exists(None, "fine")

    play(tmp_path, story)


def test_closing_does_not_wait_for_a_disk_that_stays_full(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        script = CommitScript(await store.open(DECLARATION))
        writer = store._writer  # noqa: SLF001
        assert writer is not None
        writer.connection.pragma("max_page_count", writer.connection.pragma("page_count"))
        for _ in range(300):
            store.append(script.root("shop.bill"))
        waiter = asyncio.ensure_future(store.durable(300))
        async with asyncio.timeout(5):
            await store.close()
        with pytest.raises(StoreUnavailable):
            await waiter

    play(tmp_path, story)


def test_before_it_is_opened_a_store_is_in_no_trouble(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        assert (store.trouble, store.undurable, dict(store.statistics())["commits"]) == (None, 0, 0)

    play(tmp_path, story)


def test_a_killed_store_reports_nothing_any_more(tmp_path: Path) -> None:
    async def story(store: SqliteStore) -> None:
        script = CommitScript(await store.open(DECLARATION))
        heard: list[object] = []
        store.on_batch = heard.append
        store.append(script.root("shop.bill"))
        store.flush()
        store.abandon()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert heard == []
        again = store_on(tmp_path)
        assert (await again.open(DECLARATION)).next_n == 1
        await again.close()

    play(tmp_path, story)
