"""A made call: awaited once, in its own execution, in the handler's own task."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, logged, playing

from onstage import Service, emit, now, step, wait
from onstage.contracts.handler import Handler
from onstage.errors import AwaitedTwice, InsideStep, NotInExecution


@step
async def charge(order_id: str) -> str:
    return f"c-{order_id}"


@step
def stamp() -> str:
    return "stamped"


def on_stage(handler: Callable[[Placed], Awaitable[Any]], story: Callable[[House], Awaitable[Any]]) -> Any:
    """Play a story with one handler of `Placed`."""

    async def run() -> Any:
        shop = Service("shop")
        made: Handler[Placed, Any] = shop.on(Placed, emits=[Paid], waits=[Approved])(handler)  # type: ignore[arg-type]
        assert made.name
        async with playing(shop) as house:
            return await story(house)

    return asyncio.run(run())


async def aside(house: House) -> str:
    return await house.aside(Placed("o1"))


async def settled(house: House) -> None:
    await house.settled(Placed("o1"))


def test_a_call_is_awaited_once() -> None:
    async def take(e: Placed) -> None:
        call = charge(e.id)
        await call
        await call

    why = on_stage(take, aside)
    assert "AwaitedTwice: charge was awaited twice" in why
    assert "to do:" in why

    async def plain() -> None:
        call = charge("o1")
        await call
        with pytest.raises(AwaitedTwice):
            await call

    asyncio.run(plain())


def test_a_call_that_is_never_awaited_warns() -> None:
    made = [charge("o1")]
    with pytest.warns(RuntimeWarning, match="charge was called and never awaited"):
        made.clear()


def test_a_call_that_a_parking_handler_does_not_come_to_does_not_warn() -> None:
    async def take(e: Placed) -> None:
        later = charge(e.id)
        await wait(Approved)
        await later

    async def story(house: House) -> None:
        process = await house.emit(Placed("o1"))
        await house.until_verdict(process, "waiting")
        await house.emit(Approved("o1"), process=process)
        assert (await process.verdict(timeout=5)).is_final

    on_stage(take, story)  # warnings are errors


@step
async def nested(order_id: str) -> str:
    return await charge(order_id)


@step
def nested_in_a_thread() -> None:
    emit(Paid("o1"))


@pytest.mark.parametrize("outer", [lambda e: nested(e.id), lambda _: nested_in_a_thread()])
def test_a_durable_call_inside_a_step_is_refused(outer: Callable[[Placed], Awaitable[Any]]) -> None:
    async def take(e: Placed) -> None:
        await outer(e)

    why = on_stage(take, aside)
    assert InsideStep.__name__ in why
    assert "to do: call" in why


def test_the_plain_function_may_be_used_inside_a_step() -> None:
    @step
    async def outer(order_id: str) -> str:
        return await charge.fn(order_id)

    async def take(e: Placed) -> Paid:
        return Paid(e.id, await outer(e.id))

    async def story(house: House) -> bytes:
        await house.settled(Placed("o1"))
        return (await house.events("shop.paid"))[0].data

    assert b"c-o1" in on_stage(take, story)


def test_a_durable_call_made_in_a_foreign_task_names_gather() -> None:
    async def take(e: Placed) -> None:
        async def branch() -> str:
            return await charge(e.id)

        await asyncio.create_task(branch())

    why = on_stage(take, aside)
    assert NotInExecution.__name__ in why
    assert "onstage.gather" in why


def test_a_call_made_in_the_handler_may_be_awaited_in_another_task() -> None:
    async def take(e: Placed) -> Paid:
        async def branch(call: Awaitable[str]) -> str:
            return await call

        async with asyncio.TaskGroup() as group:
            first, second = (group.create_task(branch(charge(e.id + part))) for part in "ab")
        return Paid(e.id, first.result() + second.result())

    on_stage(take, settled)


def test_a_durable_call_after_the_handler_ended_is_refused() -> None:
    failures: list[BaseException] = []
    ended, tried = asyncio.Event(), asyncio.Event()

    async def take(e: Placed) -> None:
        async def outlive() -> None:
            await ended.wait()
            try:
                await charge(e.id)
            except NotInExecution as error:
                failures.append(error)
            tried.set()

        kept.append(asyncio.create_task(outlive()))

    kept: list[Any] = []

    async def story(house: House) -> None:
        await house.settled(Placed("o1"))
        ended.set()
        await tried.wait()

    on_stage(take, story)
    assert "was called after shop.take had ended" in str(failures[0])


def test_a_call_made_and_awaited_after_the_handler_ended_is_refused() -> None:
    failures: list[BaseException] = []
    ended, tried = asyncio.Event(), asyncio.Event()
    kept: list[Any] = []

    async def take(e: Placed) -> None:
        async def outlive(call: Awaitable[str]) -> None:
            await ended.wait()
            try:
                await call
            except NotInExecution as error:
                failures.append(error)
            tried.set()

        kept.append(asyncio.create_task(outlive(charge(e.id))))

    async def story(house: House) -> None:
        await house.settled(Placed("o1"))
        ended.set()
        await tried.wait()

    on_stage(take, story)
    assert len(failures) == 1


def test_outside_a_handler_the_ambient_calls_say_so() -> None:
    async def story() -> None:
        with pytest.raises(NotInExecution, match=r"stage\.emit"):
            await emit(Paid("o1"))
        with pytest.raises(NotInExecution, match="outside a handler"):
            await wait(Approved)

    asyncio.run(story())
    assert now().tzinfo is not None


def test_gather_over_made_calls_is_no_foreign_await() -> None:
    async def take(e: Placed) -> Paid:
        first, second = await asyncio.gather(charge(e.id), stamp())
        return Paid(e.id, first + second)

    with logged("onstage.handler") as said:
        on_stage(take, settled)
    assert said == []
