"""Mailboxes: who listens, what is not durable yet, and pages."""

import asyncio

from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, Refused, logged, playing

from onstage import Service, step, wait
from onstage.core.commit import Commit, event_of
from onstage.events.receipt import Status
from onstage.runtime.emission import Emission
from onstage.runtime.mailbox import PAGE


async def all_quiet(house: House) -> None:
    async def holds() -> bool:
        return house.node.open == {} and house.node.store.undurable == 0

    await house.until(holds)


def test_mail_of_another_process_wakes_nobody() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved)).by)

    async def story() -> None:
        async with playing(shop) as house:
            first, second = await house.emit(Placed("o1")), await house.emit(Placed("o2"))
            await house.until_verdict(first, "waiting")
            await house.until_verdict(second, "waiting")
            await house.emit(Approved("o2"), process=second)
            assert (await second.verdict(timeout=5)).is_final
            assert (await first.verdict()).status == "waiting"
            assert len(house.node.numbers.waiting) == 1

    asyncio.run(story())


def test_a_wait_finds_its_event_behind_pages_of_others() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved)).by)

    @shop.on(Paid)
    async def follow(e: Paid) -> None:
        await wait(Refused)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            async with asyncio.TaskGroup() as group:
                for number in range(PAGE + 5):
                    group.create_task(house.emit(Approved("o1", str(number)), process=process))
            await house.emit(Refused("o1"), process=process)
            assert (await process.verdict(timeout=5)).is_final

    asyncio.run(story())


def test_every_waiting_handler_of_a_process_gets_the_event() -> None:
    shop, mail = Service("shop"), Service("mail")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved)).by)

    @mail.on(Placed)
    async def thank(e: Placed) -> Refused:
        return Refused((await wait(Approved)).by)

    async def story() -> None:
        async with playing(shop, mail) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1", "ada"), process=process)
            assert (await process.verdict(timeout=5)).is_final
            assert len(await house.events("shop.paid")) == len(await house.events("shop.refused")) == 1

    asyncio.run(story())


def test_an_execution_that_only_sleeps_or_retries_no_longer_listens() -> None:
    shop, tries = Service("shop"), list[int]()

    @step(retries=1)
    async def charge() -> None:
        tries.append(1)
        from onstage.errors import RetryAfter

        raise RetryAfter("1h")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await wait(Approved)
        await charge()
        return Paid(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1"), process=process)

            async def retries() -> bool:
                return len(await house.executions(Status.RETRYING)) == 1

            await house.until(retries)
            assert house.node.numbers.waiting == {}
            await house.emit(Approved("o1"), process=process)

    asyncio.run(story())
    assert tries == [1]


def append_refused_mail(house: House, process: int) -> None:
    """A commit with mail that the store will refuse, as it refuses what follows from a refused one."""
    node, route = house.node, house.node.routes_by_class[Approved]
    emission = Emission(node.numbers)
    emission.emit(route, b'{"id":"o1","by":"nobody"}', "o1", now_ms=node.clock.now_ms(), process=process)
    stale = Commit(epoch=node.epoch - 1, events=emission.events, mail=emission.mail, receipts=emission.receipts)
    node.append(stale, emission)


def test_mail_that_was_refused_is_no_mail_and_no_error_of_the_handler() -> None:
    shop, houses, begun, failures = Service("shop"), list[House](), list[int](), list[BaseException]()

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        (execution,) = houses[0].node.open
        if not begun:
            begun.append(execution)
            append_refused_mail(houses[0], event_of(execution))
        try:
            return Paid(e.id, (await wait(Approved)).by)
        except Exception as error:
            failures.append(error)
            raise

    async def story() -> None:
        async with playing(shop) as house:
            houses.append(house)
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1", "ada"), process=process)
            assert (await process.verdict(timeout=5)).is_final
            (paid,) = await house.events("shop.paid")
            assert b"ada" in paid.data

    asyncio.run(story())
    assert failures == []


def test_an_execution_that_refused_mail_woke_goes_on_waiting() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved)).by)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            (execution,) = house.node.open
            with logged("onstage.handler") as said:
                append_refused_mail(house, event_of(execution))
                await house.node.settle_window()
                await house.until_verdict(process, "waiting")
                await house.emit(Approved("o1", "ada"), process=process)
                assert (await process.verdict(timeout=5)).is_final
            assert said == []

    asyncio.run(story())


def test_nothing_is_kept_of_mail_that_is_durable() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await wait(Approved)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.emit(Approved("o1"), process=process)
            await all_quiet(house)
            assert (house.node.mailbox._recent, len(house.node.mailbox._order)) == ({}, 0)  # noqa: SLF001

    asyncio.run(story())
