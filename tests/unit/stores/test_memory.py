"""What is special about the memory store; the rest is in tests/contract/test_stores.py."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from onstage.errors import NodeRunning
from onstage.ports.clock import SystemClock
from onstage.stores.memory import MemoryStore
from onstage.testing.commit_script import DECLARATION, CommitScript
from onstage.testing.inline_workers import InlineWorkers


def play(story: Callable[[MemoryStore], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(MemoryStore(clock=SystemClock(), workers=InlineWorkers()))

    asyncio.run(run())


def test_two_memory_stores_know_nothing_of_each_other() -> None:
    async def story(store: MemoryStore) -> None:
        other = MemoryStore(clock=SystemClock(), workers=InlineWorkers())
        script = CommitScript(await store.open(DECLARATION))
        assert (await other.open(DECLARATION)).store != script.opened.store
        position = store.append(script.root())
        store.flush()
        await store.durable(position)
        assert await other.reader.events() == []

    play(story)


def test_one_node_has_a_memory_store_at_a_time() -> None:
    async def story(store: MemoryStore) -> None:
        await store.open(DECLARATION)
        with pytest.raises(NodeRunning, match="to do"):
            await store.open(DECLARATION)
        await store.close()
        await store.open(DECLARATION)

    play(story)


def test_close_makes_durable_what_was_appended_and_abandon_does_not() -> None:
    async def story(store: MemoryStore) -> None:
        script = CommitScript(await store.open(DECLARATION))
        store.append(script.root())
        await store.close()
        script = CommitScript(await store.open(DECLARATION))
        store.append(script.root())
        store.flush()
        store.abandon()
        await store.open(DECLARATION)
        await asyncio.sleep(0)
        assert [event.n for event in await store.reader.events()] == [1]

    play(story)


def test_a_batch_waits_for_the_next_turn_of_the_loop() -> None:
    async def story(store: MemoryStore) -> None:
        script = CommitScript(await store.open(DECLARATION))
        store.append(script.root())
        store.flush()
        assert store.undurable == 1
        await store.durable(1)
        assert store.undurable == 0

    play(story)
