"""Awaiting something that is no durable call: said once, with the handler's own file and line."""

import asyncio
import inspect

import pytest
from tests.unit.runtime.playhouse import Approved, Placed, logged, playing

from onstage import Service, step, wait


@step
async def charge() -> None: ...


def line_of(text: str) -> int:
    lines = inspect.getsource(inspect.getmodule(line_of) or pytest).splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip() == text)


@pytest.mark.parametrize("options", [{}, {"timeout": "10s"}])
def test_a_foreign_await_is_said_once_with_file_and_line(options: dict[str, str]) -> None:
    shop, gates = Service("shop"), list[asyncio.Event]()
    arrived = asyncio.Event()

    @shop.on(Placed, **options)  # type: ignore[arg-type]
    async def take(e: Placed) -> None:
        gates.append(asyncio.Event())
        arrived.set()
        await gates[-1].wait()  # foreign

    async def story() -> None:
        async with playing(shop) as house:
            for _ in range(2):
                arrived.clear()
                process = await house.emit(Placed("o1"))
                await arrived.wait()
                gates[-1].set()
                await process.verdict(timeout=5)

    with logged("onstage.handler") as said:
        asyncio.run(story())
    (warning,) = said
    assert warning.startswith("shop.take awaits something that is not a durable call, at ")
    assert f"test_foreign_await.py:{line_of('await gates[-1].wait()  # foreign')}\n" in warning
    assert "to do: put it into a @step" in warning


def test_a_foreign_await_on_a_replay_names_the_handlers_line_too() -> None:
    shop, gate, arrived = Service("shop"), asyncio.Event(), asyncio.Event()

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await wait(Approved)
        arrived.set()
        await gate.wait()  # on replay

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1"), process=process)
            await arrived.wait()
            gate.set()
            await process.verdict(timeout=5)

    with logged("onstage.handler") as said:
        asyncio.run(story())
    assert f"test_foreign_await.py:{line_of('await gate.wait()  # on replay')}\n" in said[0]


def test_durable_calls_are_not_foreign_however_they_are_awaited() -> None:
    shop = Service("shop")

    async def branch() -> None:
        await asyncio.gather(*calls)

    calls: list[object] = []

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await charge()
        await asyncio.gather(charge(), charge())
        async with asyncio.TaskGroup() as group:
            calls[:] = [charge(), charge()]
            group.create_task(branch())
        await wait(Approved)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1"), process=process)
            assert (await process.verdict(timeout=5)).is_final

    with logged("onstage.handler") as said:
        asyncio.run(story())
    assert said == []
