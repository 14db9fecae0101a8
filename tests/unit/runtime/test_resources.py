"""Lifespans: opened in order, closed in reverse, left again if one fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Placed, memory, playing

from onstage import Service
from onstage.runtime.resources import Resources

Heard = list[str]


def lifespan(heard: Heard, name: str, given: Any) -> Callable[[], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def span() -> AsyncIterator[Any]:
        if given is None:
            raise ConnectionError(name)
        heard.append(f"open {name}")
        yield given
        heard.append(f"close {name}")

    return span


def test_they_are_opened_in_order_and_closed_in_reverse() -> None:
    heard: Heard = []
    services = [Service(name, lifespan=lifespan(heard, name, name)) for name in ("a", "b")]

    async def story() -> None:
        resources = Resources()
        await resources.open([*services, Service("c")])
        assert resources.of("a", str) == "a"
        assert resources.of("b", object) == "b"
        await resources.close()
        await resources.close()

    asyncio.run(story())
    assert heard == ["open a", "open b", "close b", "close a"]


def test_a_resource_is_found_among_several_or_named_as_missing() -> None:
    async def story() -> None:
        resources = Resources()
        await resources.open([Service("a", lifespan=lifespan([], "a", ("eur", 7)))])
        assert resources.of("a", int) == 7
        with pytest.raises(LookupError, match="its lifespan yielded str, int"):
            resources.of("a", bytes)
        with pytest.raises(LookupError, match="its lifespan yielded nothing"):
            resources.of("b", bytes)

    asyncio.run(story())


def test_if_one_fails_the_node_does_not_start_and_leaves_nothing_open() -> None:
    heard: Heard = []
    good = Service("good", lifespan=lifespan(heard, "good", "g"))
    bad = Service("bad", lifespan=lifespan(heard, "bad", None))

    @good.on(Placed)
    async def take(e: Placed) -> None: ...

    async def story() -> None:
        store = memory()
        with pytest.raises(ConnectionError):
            async with playing(good, bad, on=store):
                raise AssertionError
        async with playing(good, on=store) as house:  # the store is free again
            await house.settled(Placed("o1"))

    asyncio.run(story())
    assert heard == ["open good", "close good"] * 2
