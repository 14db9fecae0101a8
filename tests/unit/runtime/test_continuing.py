"""Beginning anew: the same execution, with a journal that begins again."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, memory, playing

from onstage import Reject, Service, step, wait
from onstage.durable import continue_as_new
from onstage.errors import AskFailed, NotInExecution
from onstage.events.receipt import Status
from onstage.runtime.continuing import ContinueAsNew
from onstage.state import state

done: list[str] = []


def undo(result: int, n: int) -> None:
    done.append(f"undo {n}")


@step(undo=undo)
async def count(n: int) -> int:
    done.append(f"count {n}")
    return n


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def loop(last: int, fails: bool = False) -> Service:
    shop = Service("shop")

    @shop.workflow
    async def tick(n: int) -> str:
        state["n"] = await count(n)
        if n < last:
            continue_as_new(n + 1)
        if fails:
            raise Reject("enough")
        return f"{state['n']} of {last}"

    return shop


def test_the_result_of_the_last_round_belongs_to_the_start() -> None:
    shop = loop(4)

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(shop.handlers[0], 0, id="t")
            assert await handle.result(timeout=5) == "4 of 4"
            assert done == [f"count {n}" for n in range(5)]
            assert await handle.state() == {"n": 4}
            assert len(await house.events("onstage.start/shop.tick")) == 1

    asyncio.run(story())


def test_steps_of_every_round_are_undone_the_last_one_first() -> None:
    shop = loop(2, fails=True)

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(shop.handlers[0], 0)
            with pytest.raises(AskFailed, match="enough"):
                await handle.result(timeout=5)
            assert done == ["count 0", "count 1", "count 2", "undo 2", "undo 1", "undo 0"]

    asyncio.run(story())


def test_what_was_taken_stays_taken_and_what_was_not_is_there() -> None:
    shop = Service("shop")

    @shop.workflow
    async def collect(names: list[str]) -> list[str]:
        if len(names) == 2:
            return names
        continue_as_new([*names, (await wait(Approved)).by])

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            handle = await house.stage.start(collect, [])
            await house.emit(Approved("x", "ada"), process=handle.id)

            async def waits_again() -> bool:
                views = await house.executions(Status.WAITING)
                return any(view.waits and view.length > 3 for view in views)

            await house.until(waits_again)
            event = handle.id
        async with playing(shop, on=store) as house:
            await house.emit(Approved("x", "bob"), process=event)
            assert await house.stage.handle(collect, event).result(timeout=5) == ["ada", "bob"]

    asyncio.run(story())


def test_only_a_workflow_begins_anew_and_only_with_its_input() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        continue_as_new(e)

    @shop.workflow
    async def tick(n: int) -> int:
        continue_as_new("text")

    async def story() -> None:
        async with playing(shop) as house:
            assert "it is no workflow" in await house.aside(Placed("o1"))
            await house.stage.start(tick, 1)

            async def both() -> bool:
                return len(await house.executions(Status.PARKED)) == 2

            await house.until(both)
            errors = [view.error or "" for view in await house.executions(Status.PARKED)]
            assert any("cannot begin anew with str" in error for error in errors)

    asyncio.run(story())
    with pytest.raises(NotInExecution):
        continue_as_new(1)
    assert not issubclass(ContinueAsNew, Exception)
