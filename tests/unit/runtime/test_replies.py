"""Who waits outside for an answer is told when it is durable, and only then."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import memory, playing

from onstage import Request, Service, event, step
from onstage.errors import StoreUnavailable
from onstage.runtime.replies import Replies


@event("replies.get", key="id")
@dataclass(frozen=True)
class Get(Request[int]):
    id: str


def test_an_answer_that_came_before_anybody_waited_is_there() -> None:
    shop = Service("shop")

    @shop.answers
    async def get(q: Get) -> int:
        return 1

    async def story() -> None:
        async with playing(shop) as house:
            assert await house.stage.ask(Get("a"), id="1", timeout=5) == 1
            assert await house.node.mailbox.replies.answer(1, 0) is not None
            assert await house.node.mailbox.replies.answer(99, 0) is None
            assert len(house.node.mailbox.replies._waiters) == 0  # noqa: SLF001

    asyncio.run(story())


def test_whoever_waits_is_told_when_the_node_stops() -> None:
    gate, shop, began = asyncio.Event(), Service("shop"), asyncio.Event()

    @step
    async def hold() -> int:
        began.set()
        await gate.wait()
        return 1

    @shop.answers
    async def get(q: Get) -> int:
        return await hold()

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            house.stage.drain_s = 0
            waiting = asyncio.ensure_future(house.node.mailbox.replies.answer(1, None))
            await house.stage.begin("replies.get", b'{"id":"a"}')
            await began.wait()
            replies = house.node.mailbox.replies
        with pytest.raises(StoreUnavailable):
            await waiting
        with pytest.raises(StoreUnavailable):
            await replies.answer(1, None)
        assert isinstance(replies, Replies)

    asyncio.run(story())


def test_who_begins_to_wait_between_the_answer_and_its_being_durable_is_told() -> None:
    class Empty:
        found: Any = None

        async def answer(self, about: int) -> Any:
            return self.found

    class Store:
        reader = Empty()

    async def story() -> None:
        store: Any = Store()
        replies = Replies(store)
        replies.arrived(7, 1)
        waiting = asyncio.ensure_future(replies.answer(1, None))
        await asyncio.sleep(0)
        assert not waiting.done()
        replies.durable(6)
        await asyncio.sleep(0)
        assert not waiting.done()
        store.reader.found = "answer"
        replies.durable(7)
        assert await waiting == "answer"

    asyncio.run(story())
