"""Which handlers of a node have a turnstile, and which keep the plain way."""

import asyncio
from collections import deque

from tests.unit.runtime.playhouse import Paid, Placed, playing

from onstage import Service
from onstage.runtime.ranked_ready import RankedReady


def services(**options: int) -> tuple[Service, Service]:
    shop, mail = Service("shop"), Service("mail", **options)  # type: ignore[arg-type]

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id)

    @shop.on(Placed, rate="1000/s")
    async def count(e: Placed) -> None: ...

    @mail.on(Paid)
    async def thank(e: Paid) -> None: ...

    return shop, mail


def test_only_who_declares_something_has_a_turnstile() -> None:
    async def story() -> None:
        async with playing(*services()) as house:
            own = [each for each in house.node.reactions.values() if each.service != "onstage"]
            placed = {each.name: each.turnstile is not None for each in own}
            assert placed == {"shop.take": False, "shop.count": True, "mail.thank": False}
            assert isinstance(house.node.dispatcher._ready, deque)  # noqa: SLF001

    asyncio.run(story())


def test_the_limit_of_a_service_concerns_all_its_handlers_and_no_others() -> None:
    async def story() -> None:
        async with playing(*services(concurrency=2)) as house:
            own = [each for each in house.node.reactions.values() if each.service != "onstage"]
            placed = {each.name: each.turnstile is not None for each in own}
            assert placed == {"shop.take": False, "shop.count": True, "mail.thank": True}
            for n in range(20):
                await house.settled(Placed(str(n)))

    asyncio.run(story())


def test_a_pause_places_a_turnstile_and_its_end_takes_it_away() -> None:
    async def story() -> None:
        async with playing(*services()) as house:
            take = next(each for each in house.node.reactions.values() if each.name == "shop.take")
            await house.stage.pause("shop.take")
            assert take.turnstile is not None
            process = await house.emit(Placed("a"))
            assert take.running == 0
            await house.stage.resume("shop.take")
            assert take.turnstile is None
            assert (await process.verdict(timeout=10)).is_final
            await house.stage.pause("shop")
            await house.stage.resume("shop")
            count = next(each for each in house.node.reactions.values() if each.name == "shop.count")
            assert count.turnstile is not None, "it has a rate"
            await house.settled(Placed("b"))

    asyncio.run(story())


def test_a_declared_priority_ranks_what_is_ready() -> None:
    shop = Service("shop")

    @shop.on(Placed, priority=7)
    async def take(e: Placed) -> None: ...

    async def story() -> None:
        async with playing(shop) as house:
            assert isinstance(house.node.dispatcher._ready, RankedReady)  # noqa: SLF001
            await house.settled(Placed("a"))

    asyncio.run(story())
