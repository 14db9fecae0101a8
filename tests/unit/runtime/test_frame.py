"""Parking: what unwinds, what waits for other branches, and what a handler may not swallow."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Clock, Paid, Placed, Refused, logged, memory, playing

from onstage import Retry, Service, sleep, step, wait
from onstage.core.execution import Execution
from onstage.events.receipt import Status
from onstage.runtime.frame import Frame, Park


async def branch(call: Awaitable[object]) -> object:
    return await call


def test_no_except_exception_catches_a_parking() -> None:
    assert not issubclass(Park, Exception)


def test_a_bare_gather_over_calls_parks_as_a_whole_and_goes_on() -> None:
    shop, runs = Service("shop"), list[str]()

    @step
    async def charge() -> str:
        runs.append("charge")
        return "c1"

    @step
    def reserve() -> str:
        runs.append("reserve")
        return "r1"

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        first, second, approved = await asyncio.gather(charge(), reserve(), wait(Approved))
        return Paid(e.id, first + second + approved.by)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            verdict = await house.until_verdict(process, "waiting")
            assert "waits for shop.approved" in str(verdict)
            await house.emit(Approved("o1", "ada"), process=process)
            await process.verdict(timeout=5)
            assert (await house.events("shop.paid"))[0].data == b'{"id":"o1","by":"c1r1ada"}'

    asyncio.run(story())
    assert sorted(runs) == ["charge", "reserve"]


def test_a_task_group_over_calls_parks_as_a_whole_and_goes_on() -> None:
    shop, runs = Service("shop"), list[str]()

    @step
    async def charge() -> str:
        runs.append("charge")
        return "c1"

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        async with asyncio.TaskGroup() as group:
            charged = group.create_task(branch(charge()))
            group.create_task(branch(wait(Approved)))
            group.create_task(branch(wait(Refused)))
        return Paid(e.id, str(charged.result()))

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            view = await house.only_execution(Status.WAITING)
            assert view.waits == ("shop.approved", "shop.refused")
            await house.emit(Approved("o1"), process=process)
            await house.emit(Refused("o1"), process=process)
            await process.verdict(timeout=5)
            assert (await house.events("shop.paid"))[0].data == b'{"id":"o1","by":"c1"}'

    asyncio.run(story())
    assert runs == ["charge"]


def test_the_nearest_time_of_all_branches_wakes_the_execution() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await asyncio.gather(sleep("3h"), sleep("1h"), wait(Approved, timeout="2h"), return_exceptions=True)
        return Paid(e.id)

    async def story() -> None:
        clock = Clock()
        async with playing(shop, clock=clock) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            view = await house.only_execution()
            assert view.due is not None
            assert 3_500_000 < view.due - clock.now_ms() <= 3_600_000

    asyncio.run(story())


def test_a_failed_branch_beside_a_parked_one_fails_the_attempt_and_the_node_goes_on() -> None:
    shop = Service("shop")

    @step
    async def fails() -> None:
        raise ValueError("no cover")

    @step(retry=Retry(3, first="1h"))
    async def tries_later() -> None:
        raise OSError

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> Paid:
        async with asyncio.TaskGroup() as group:
            group.create_task(branch(tries_later()))
            group.create_task(branch(wait(Approved)))
            group.create_task(branch(fails()))
        return Paid(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            assert "step fails failed after 1 attempt: ValueError: no cover" in await house.aside(Placed("o1"))
            await house.until_verdict(await house.emit(Placed("o2")), "stuck")

    asyncio.run(story())


def test_a_parking_that_is_swallowed_is_reported_and_the_return_means_nothing() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        with suppress(BaseException):
            await wait(Approved)
        return Paid(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            assert await house.events("shop.paid") == []
            await house.emit(Approved("o1"), process=process)
            await process.verdict(timeout=5)
            assert len(await house.events("shop.paid")) == 1

    with logged("onstage.handler") as said:
        asyncio.run(story())
    assert said == ["shop.take swallowed the parking of its execution; let BaseException pass"]


def test_a_durable_call_after_a_swallowed_parking_parks_again() -> None:
    shop, runs = Service("shop"), list[str]()

    @step
    async def charge() -> None:
        runs.append("charge")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        try:
            await wait(Approved)
        except BaseException:  # noqa: BLE001
            await charge()

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")

    asyncio.run(story())
    assert runs == []


def test_a_divergence_in_one_branch_is_not_hidden_by_another_that_parks() -> None:
    async def story() -> None:
        store, heard = memory(), list[str]()

        @step
        async def charge(amount: int) -> None:
            heard.append("charge")

        def version(amount: int) -> Service:
            shop = Service("shop")

            @shop.on(Placed)
            async def take(e: Placed) -> None:
                await asyncio.gather(wait(Approved), charge(amount))

            return shop

        async with playing(version(1), on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
        async with playing(version(2), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await house.until_verdict(process, "stuck")
            view = await house.only_execution(Status.DIVERGED)
            assert "asks for step with arguments" in (view.error or "")
        assert heard == ["charge"]

    asyncio.run(story())


def test_a_park_of_one_branch_keeps_the_diff_of_another() -> None:
    async def story() -> None:
        store = memory()

        @step
        async def charge(amount: int) -> None: ...

        def version(amount: int) -> Service:
            shop = Service("shop")

            @shop.on(Placed)
            async def take(e: Placed) -> None:
                first, last = charge(amount), wait(Approved)
                await asyncio.gather(last, wait(Refused), first)

            return shop

        async with playing(version(1), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(version(2), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await house.until_verdict(process, "stuck")
            await house.only_execution(Status.DIVERGED)

    asyncio.run(story())


def test_a_run_whose_event_is_refused_while_it_waits_for_the_disk_goes_no_further() -> None:
    """What opened its lane became durable, but the event itself did not: seed 52893 of the simulated worlds."""

    class Disk:
        async def durable(self, _: int) -> None:
            frame.parked = Park()  # as `Reloading.fell` does meanwhile

    driver: Any = SimpleNamespace(node=SimpleNamespace(store=Disk()))
    nothing: Any = None
    frame = Frame(nothing, nothing, driver, 17, 0, Execution())
    with pytest.raises(Park):
        asyncio.run(frame.barrier())
