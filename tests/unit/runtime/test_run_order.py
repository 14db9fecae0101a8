"""Who runs next: a chain at once, several from one handler after the others, an effect after the disk."""

import asyncio

from tests.unit.runtime.playhouse import Paid, Placed, playing
from tests.unit.runtime.test_dispatcher import Order, nothing_left

from onstage import Service, step
from onstage.runtime.dispatcher import FUSED_HOPS_MAX
from onstage.runtime.frame import CURRENT


def test_a_chain_runs_on_at_once_but_not_for_ever_before_others() -> None:
    heard: Order = []
    shop = Service("shop")

    @shop.on(Placed)
    async def again(e: Placed) -> Placed | None:
        heard.append(e.id)
        return Placed(e.id, e.amount - 1) if e.amount else None

    async def story() -> None:
        async with playing(shop) as house:
            await asyncio.gather(house.emit(Placed("long", 300)), house.emit(Placed("short", 3)))
            await house.until(house.has_nothing_open)

    asyncio.run(story())
    first = heard.index("short")
    assert heard[:first] == ["long"] * (FUSED_HOPS_MAX + 1)
    assert heard[first : first + 4] == ["short"] * 4
    assert len(heard) == 305


def test_what_one_handler_emits_in_plenty_does_not_hold_others_up() -> None:
    heard: Order = []
    shop = Service("shop")

    @shop.on(Placed)
    async def fan_out(e: Placed) -> list[Paid]:
        heard.append(e.id)
        return [Paid(f"{e.id} {n}") for n in range(e.amount)]

    @shop.on(Paid, concurrency=1000)
    async def look(e: Paid) -> None:
        heard.append(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            await asyncio.gather(house.emit(Placed("many", 100)), house.emit(Placed("one", 1)))
            await house.until(house.has_nothing_open)

    asyncio.run(story())
    assert heard[:3] == ["many", "one", "one 0"]
    assert len(heard) == 103


def test_a_handler_that_waits_for_the_disk_anyway_is_not_begun_before() -> None:
    """From its second event on; and again at once when it no longer has an effect."""
    shop, on_disk = Service("shop"), list[bool]()

    @step
    async def charge() -> None: ...

    @shop.on(Placed, concurrency=1)
    async def take(e: Placed) -> None:
        frame = CURRENT.get()
        assert frame is not None
        store = frame.driver.node.store
        on_disk.append(frame.after <= store.appended - store.undurable)
        if e.amount:
            await charge()

    async def story() -> None:
        async with playing(shop) as house:
            for number, amount in enumerate([1, 1, 1, 0, 0]):
                await asyncio.gather(house.emit(Placed(f"o{number}", amount)), asyncio.sleep(0))
                await house.until(house.has_nothing_open)
            nothing_left(house)

    asyncio.run(story())
    assert on_disk == [False, True, True, True, False]
