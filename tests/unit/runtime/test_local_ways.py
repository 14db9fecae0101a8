"""The ways into a node of one's own process, as its door calls them."""

import asyncio
from dataclasses import dataclass

import pytest
from tests.unit.runtime.playhouse import playing, shop

from onstage import event
from onstage.runtime.local_ways import LocalWays


@event("ways.asked", key="id")
@dataclass(frozen=True)
class Asked:
    id: str


def test_what_is_emitted_is_answered_with_a_public_id_that_the_other_ways_know() -> None:
    async def story() -> None:
        service = shop()

        @service.on(Asked)
        async def answer(e: Asked) -> None: ...

        async with playing(service) as house:
            ways = LocalWays(house.node)
            first = await ways.emit("ways.asked", b'{"id":"a"}', id="1", source=None)
            again = await ways.emit("ways.asked", b'{"id":"a"}', id="1", source=None)
            joined = await ways.emit("ways.asked", b'{"id":"b"}', id=None, source=None, process=first)
            assert first == again == joined
            assert (await ways.verdict(first, 10)).status == "dead end"
            assert ways.number(first) == (await house.events())[0].process

    asyncio.run(story())


def test_an_id_of_another_store_names_nothing_here() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            ways = LocalWays(house.node)
            for unknown in ("", "elsewhere-0-1", f"{house.node.numbers.identity.wire(9)}"):
                with pytest.raises(LookupError, match="there is no process"):
                    await ways.verdict(unknown, 0)

    asyncio.run(story())


def test_only_a_client_that_holds_the_store_makes_way() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            asked: list[str] = []
            LocalWays(house.node).make_way()
            assert LocalWays(house.node).runs
            LocalWays(house.node, lambda: asked.append("make way")).make_way()
            assert asked == ["make way"]

    asyncio.run(story())
