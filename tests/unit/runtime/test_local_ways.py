"""The ways into a node of one's own process, as its door calls them."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import playing, shop

from onstage import Service, event
from onstage.errors import DuplicateId, InvalidEvent, StoreUnavailable
from onstage.runtime.local_ways import LocalWays


@event("ways.asked", key="id")
@dataclass(frozen=True)
class Asked:
    id: str


def test_what_is_emitted_is_answered_with_a_public_id_that_the_other_ways_know() -> None:
    async def story() -> None:
        async with playing(asking()) as house:
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


def asking() -> Service:
    service = shop()

    @service.on(Asked)
    async def answer(e: Asked) -> None: ...

    return service


def line(id: str, key: str, type: str = "ways.asked") -> dict[str, Any]:
    data = f'{{"id":"{key}"}}'.encode()
    return {"type": type, "data": data, "id": id, "source": None, "process": None, "extra": None}


def test_many_are_decided_in_their_order_and_nothing_behind_a_refusal_is_stored() -> None:
    async def story() -> None:
        async with playing(asking()) as house:
            ways = LocalWays(house.node)
            events = [
                line("1", "a"),
                line("2", "b"),
                line("1", "a"),
                line("1", "c"),
                line("3", "d"),
                line("4", "", "x"),
            ]
            first, second, again, refused = await ways.emit_all(events, go_on=False)
            assert first == again != second
            assert isinstance(refused, DuplicateId)
            assert [event.key for event in await house.events()] == ["a", "b"]
            *_, refused, added, unknown = await ways.emit_all(events, go_on=True)
            assert (type(refused), type(unknown)) == (DuplicateId, InvalidEvent)
            assert isinstance(added, str)
            assert [event.key for event in await house.events()] == ["a", "b", "d"]

    asyncio.run(story())


@pytest.mark.parametrize(
    "extra", [b"", b"[]", b'{"time":"yesterday"}', b'{"extensions":{"A":"x"}}', b'{"id":"a\\u0000"}']
)
def test_attributes_that_nobody_could_show_are_refused_one_by_one(extra: bytes) -> None:
    async def story() -> None:
        async with playing(asking()) as house:
            ways = LocalWays(house.node)
            bad = line("1", "a") | {"extra": extra}
            with pytest.raises(InvalidEvent):
                await ways.emit(**bad)
            refused, stored = await ways.emit_all([bad, line("1", "b")], go_on=True)
            assert (type(refused), type(stored)) == (InvalidEvent, str)
            assert [event.key for event in await house.events()] == ["b"]

    asyncio.run(story())


def test_two_events_with_an_empty_id_are_two() -> None:
    async def story() -> None:
        async with playing(asking()) as house:
            answers = await LocalWays(house.node).emit_all([line("", "a"), line("", "a")], go_on=False)
            assert [type(answer) for answer in answers] == [str, str]
            assert len(await house.events()) == 2

    asyncio.run(story())


def test_trouble_ends_many_at_once_and_what_came_before_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with playing(asking()) as house:
            ways, node = LocalWays(house.node), house.node
            asked: list[int] = []

            def after_two() -> None:
                asked.append(1)
                if len(asked) > 2:
                    raise StoreUnavailable("the disk is full")

            monkeypatch.setattr(node, "refuse_in_trouble", after_two)
            events = [line(str(number), str(number)) for number in range(5)]
            first, second, trouble = await ways.emit_all(events, go_on=True)
            assert (type(first), type(second), type(trouble)) == (str, str, StoreUnavailable)
            with pytest.raises(StoreUnavailable, match="full"):
                await ways.emit_all(events[2:], go_on=True)
            assert [event.key for event in await house.events()] == ["0", "1"]

    asyncio.run(story())
