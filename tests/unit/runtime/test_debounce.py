"""Debounce at one node: what is kept of a burst, and what is skipped of it."""

import asyncio
from typing import Any

from tests.unit.runtime.playhouse import House, Placed, playing

from onstage import Service
from onstage.events.receipt import Status
from onstage.runtime.debounce import Debounce


def shop(ran: list[int], **options: Any) -> Service:
    service = Service("shop")

    @service.on(Placed, **{"debounce": "1h"} | options)
    async def take(e: Placed) -> None:
        ran.append(e.amount)

    return service


def bursts(house: House) -> Debounce:
    reaction = next(iter(house.node.reactions.values()))
    collector = getattr(reaction.turnstile, "collector", None)
    assert isinstance(collector, Debounce)
    return collector


async def left_open(house: House) -> list[int]:
    views = await house.node.store.reader.executions()
    return [view.id >> 16 for view in views]


def test_only_the_last_event_of_a_key_stays_open() -> None:
    async def story() -> None:
        async with playing(shop([])) as house:
            for n in range(50):
                await house.emit(Placed("a", n))
            await house.emit(Placed("b"))
            await house.node.settle_window()
            assert len(bursts(house)) == 2
            assert len(house.node.open) == 2
            assert len(await left_open(house)) == 2

    asyncio.run(story())


def test_with_max_wait_the_first_one_stays_open_too() -> None:
    async def story() -> None:
        async with playing(shop([], max_wait="2h")) as house:
            for n in range(5):
                await house.emit(Placed("a", n))
            await house.node.settle_window()
            events = await house.events("shop.placed")
            assert await left_open(house) == [events[0].n, events[-1].n]

    asyncio.run(story())


def test_a_skipped_one_is_settled_with_a_receipt_that_says_why() -> None:
    async def story() -> None:
        async with playing(shop([])) as house:
            first = await house.emit(Placed("a", 0))
            second = await house.emit(Placed("a", 1))
            verdict = await first.verdict(timeout=10)
            assert verdict.status == "dead end"
            assert "shop.take skipped it: debounced: event" in verdict.reasons[0]
            assert (await second.verdict()).status == "running"
            receipts = [r for bundle in await house.node.store.reader.receipts() for r in bundle.receipts]
            assert [Status(r.status) for r in receipts if r.error] == [Status.SKIPPED]

    asyncio.run(story())


def test_it_runs_when_nothing_has_come_for_long_enough() -> None:
    ran: list[int] = []

    async def story() -> None:
        async with playing(shop(ran, debounce="1ms")) as house:
            await house.settled(Placed("a", 7))
            assert len(bursts(house)) == 0

    asyncio.run(story())
    assert ran == [7]
