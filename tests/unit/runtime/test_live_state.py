"""Live state: set inside, read outside, the same on replay."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, memory, playing

from onstage import Service, step, wait
from onstage.errors import InsideStep, NotInExecution, UsageError
from onstage.events.receipt import Status
from onstage.runtime.live_state import LIVE_STATE_BYTES_MAX, show, shown
from onstage.state import state


async def until_waiting(house: House) -> None:
    async def holds() -> bool:
        return bool(await house.executions(Status.WAITING))

    await house.until(holds)


def test_it_is_read_from_outside_while_the_workflow_waits_and_after_it_ended() -> None:
    shop = Service("shop")

    @shop.workflow
    async def fulfil(order: str) -> str:
        state["stage"] = "begun"
        state["items"] = [1, 2]
        state["stage"] = f"{state['stage']}, waiting"
        await wait(Approved)
        state["stage"] = "done"
        return str(state["items"])

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            handle = await house.stage.start(fulfil, "o1")
            await until_waiting(house)
            assert await handle.state() == {"stage": "begun, waiting", "items": [1, 2]}
            event = handle.id
        async with playing(shop, on=store) as house:
            handle = house.stage.handle(fulfil, event)
            await house.emit(Approved("o1"), process=event)
            assert await handle.result(timeout=5) == "[1, 2]"
            assert await handle.state() == {"stage": "done", "items": [1, 2]}

    asyncio.run(story())


def test_what_cannot_be_shown_is_refused_with_a_reason() -> None:
    shop, errors = Service("shop"), list[str]()

    @step
    async def inside() -> str:
        try:
            show("stage", 1)
        except InsideStep as error:
            return str(error)
        return ""

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        for key, value in (("stage", object()), ("stage", "x" * LIVE_STATE_BYTES_MAX), ("", 1)):
            try:
                state[key] = value
            except UsageError as error:
                errors.append(str(error))
        with pytest.raises(KeyError):
            shown("stage")
        errors.append(await inside())
        return Paid(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))

    asyncio.run(story())
    assert "has no JSON encoding" in errors[0]
    assert f"of at most {LIVE_STATE_BYTES_MAX}" in errors[1]
    assert "a key is text" in errors[2]
    assert "was called inside a step" in errors[3]


def test_outside_an_execution_there_is_none() -> None:
    with pytest.raises(NotInExecution, match=r"handle.state\(\)"):
        state["stage"] = "x"
    with pytest.raises(NotInExecution):
        shown("stage")


def test_code_that_shows_something_else_on_replay_has_diverged() -> None:
    shop, texts = Service("shop"), ["first", "second"]

    @shop.workflow
    async def fulfil(order: str) -> str:
        state["stage"] = texts.pop(0)
        await wait(Approved)
        return ""

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            handle = await house.stage.start(fulfil, "o1")
            await until_waiting(house)
            event = handle.id
        async with playing(shop, on=store) as house:
            await house.emit(Approved("o1"), process=event)

            async def holds() -> bool:
                return bool(await house.executions(Status.DIVERGED))

            await house.until(holds)

    asyncio.run(story())
