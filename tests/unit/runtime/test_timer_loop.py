"""Durable time: what is due is woken, in a paced stream, and what was woken earlier is forgotten."""

import asyncio

from tests.unit.runtime.playhouse import Approved, Clock, House, Paid, Placed, memory, playing

from onstage import Service, sleep, wait
from onstage.runtime.timer_loop import FIRED_MAX, TIDY_AT_MIN


def napping(duration: str) -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await sleep(duration)
        return Paid(e.id)

    return shop


async def all_ended(house: House) -> None:
    async def holds() -> bool:
        return house.node.open == {} and house.node.store.undurable == 0

    await house.until(holds)


def test_a_timer_fires_on_a_running_node() -> None:
    async def story() -> None:
        async with playing(napping("30ms")) as house:
            process = await house.emit(Placed("o1"))
            assert (await process.verdict(timeout=5)).is_final

    asyncio.run(story())


def test_many_that_are_due_at_once_come_as_a_paced_stream() -> None:
    count = 2 * FIRED_MAX + 1

    async def story() -> None:
        store, clock = memory(), Clock()
        async with playing(napping("1h"), on=store, clock=clock) as house:
            async with asyncio.TaskGroup() as group:
                for number in range(count):
                    group.create_task(house.emit(Placed(f"o{number}")))

            async def all_sleep() -> bool:
                return all(delivery.parked for delivery in house.node.open.values())

            await house.until(all_sleep)
        clock.ahead_ms = 3_600_000
        async with playing(napping("1h"), on=store, clock=clock) as house:
            await all_ended(house)
            assert len(await house.events("shop.paid")) == count

    asyncio.run(story())


def test_a_node_that_closes_fires_nothing_more() -> None:
    async def story() -> None:
        store = memory()
        async with playing(napping("1h"), on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            timers = house.node.timers
        assert timers._closed  # noqa: SLF001

    asyncio.run(story())


def test_deadlines_of_waits_that_are_over_are_forgotten() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved, timeout="24h")).by)

    async def story() -> int:
        async with playing(shop) as house:
            for chunk in range(4):
                numbers = range(chunk * TIDY_AT_MIN // 2, (chunk + 1) * TIDY_AT_MIN // 2)
                processes = [await house.emit(Placed(f"o{number}")) for number in numbers]
                for number, process in zip(numbers, processes, strict=True):
                    await house.emit(Approved(f"o{number}"), process=process)
                await all_ended(house)
            return len(house.node.timers._heap)  # noqa: SLF001

    assert asyncio.run(story()) <= TIDY_AT_MIN
