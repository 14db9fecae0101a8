"""Nodes with code of two versions on one log: what one emits, the other lifts, or sets aside with the reason."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Clock, Placed, logged

from onstage import Retry, Service, event
from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.runtime.operations import operate
from onstage.runtime.workers import ThreadWorkers
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers
from onstage.versions import upcast


class Code:
    """Both services, in the code of one version of what `shop` tells `post`."""

    def __init__(self, version: int, *, ways: bool = True, **options: Any) -> None:
        self.heard: list[Any] = []
        fields: dict[str, Any] = {"id": str, **({"euros": int} if version == 1 else {"cents": int})}
        made = dataclass(frozen=True)(type("Sent", (), {"__annotations__": fields}))
        self.sent = sent = event("shop.sent", key="id", version=version)(made)
        if version == 2 and ways:
            upcast(sent, 1, 2)(lambda old: {"id": old["id"], "cents": old["euros"] * 100})
        self.services = shop, post = Service("shop"), Service("post")

        async def send(e: Placed) -> Any:
            return sent(e.id, e.amount)

        send.__annotations__["return"] = sent

        async def take(e: Any) -> None:
            self.heard.append(e)

        shop.on(Placed, name="send")(send)
        post.on(sent, name="take", retry=Retry(1), **options)(take)


@asynccontextmanager
async def hosting(name: str, code: Code, log: EmbeddedLog, store: MemoryStore | None = None) -> AsyncIterator[Node]:
    clock = Clock()
    store = store or MemoryStore(clock=clock, workers=InlineWorkers())
    node = Node(
        code.services, [], store=store, clock=clock, workers=ThreadWorkers(), broker=EmbeddedBroker(log), hosted=[name]
    )
    try:
        await node.start()
        yield node
    finally:
        await node.close(grace_s=0)


async def place(node: Node) -> None:
    known = node.routes_by_class[Placed].type
    await LocalWays(node).emit(known.name, known.encode(Placed("o1", 5)), id=None, source=None)


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def aside(node: Node) -> Any:
    async with asyncio.timeout(10):
        while not (found := await node.store.reader.executions(statuses=[Status.PARKED])):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return found[0]


@pytest.mark.parametrize("options", [{}, {"key": "id"}])
def test_an_older_event_of_another_node_is_lifted_where_it_arrives(options: Any) -> None:
    old, new, log = Code(1), Code(2, **options), EmbeddedLog()

    async def story() -> None:
        async with hosting("post", new, log) as post, hosting("shop", old, log) as shop:
            await place(shop)
            await until(lambda: new.heard)
            (stored,) = await post.store.reader.events(type="shop.sent")
            assert stored.data == b'{"id":"o1","cents":500}'

    asyncio.run(story())
    assert new.heard == [new.sent("o1", 500)]


@pytest.mark.parametrize("options", [{}, {"key": "id"}])
@pytest.mark.parametrize(
    ("emits", "ways", "why"),
    [
        (1, False, "there is no @upcast(Sent, 1, 2)"),
        (2, True, "has version 2 here, and this code knows 1: deploy newer"),
    ],
)
def test_what_cannot_be_lifted_is_set_aside_and_goes_on_with_the_code_that_it_lacks(
    emits: int, ways: bool, why: str, options: Any
) -> None:
    emitting, lacking, able = Code(emits), Code(3 - emits, ways=ways, **options), Code(2)
    log = EmbeddedLog()

    async def story() -> None:
        store = MemoryStore(clock=Clock(), workers=InlineWorkers())
        async with hosting("post", lacking, log, store) as post, hosting("shop", emitting, log) as shop:
            with logged("onstage.handler"):
                await place(shop)
                view = await aside(post)
            assert why in (view.error or "")
        async with hosting("post", able, log, store) as post:
            await operate(post, "retry", view.id)
            await until(lambda: able.heard)

    asyncio.run(story())
    assert lacking.heard == []
    assert able.heard == [able.sent("o1", 500 if emits == 1 else 5)]


def test_history_is_refused_where_a_store_has_only_a_part_of_it() -> None:
    async def story() -> None:
        with pytest.raises(UsageError, match='start="earliest", and this node runs apart'):
            async with hosting("post", Code(1, start="earliest"), EmbeddedLog()):
                raise AssertionError

    asyncio.run(story())
