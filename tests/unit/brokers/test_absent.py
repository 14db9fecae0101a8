"""No broker: whoever asks it for anything is told so, and nothing is lost by it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from onstage.brokers.absent import AbsentBroker
from onstage.errors import BrokerUnavailable


async def nothing(data: bytes) -> bytes:
    return data


CALLS: dict[str, Callable[[AbsentBroker], Awaitable[Any]]] = {
    "open": lambda broker: broker.open(),
    "state": lambda broker: broker.state(),
    "publish": lambda broker: broker.publish([]),
    "message": lambda broker: broker.message(1),
    "cursor": lambda broker: broker.cursor("one", ["evt.>"], after=0),
    "get": lambda broker: broker.get("key"),
    "put": lambda broker: broker.put("key", b"", revision=0),
    "ask": lambda broker: broker.ask("view", b"", timeout_s=1),
    "serve": lambda broker: broker.serve("view", nothing),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call_says_that_nobody_is_there(call: Callable[[AbsentBroker], Awaitable[Any]]) -> None:
    async def story() -> None:
        broker = AbsentBroker()
        with pytest.raises(BrokerUnavailable, match="onstage run -s SERVICE"):
            await call(broker)
        await broker.close()

    asyncio.run(story())
