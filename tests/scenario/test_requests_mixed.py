"""Requests and workflows together with branches, with flow control, and beginning anew."""

import asyncio

import pytest
from tests.scenario.cancel_scenes import (
    Left,
    Price,
    Right,
    effects,
    note,
    once,
    played,
    statuses,
    workflow,
)
from tests.scenario.sim_checks import check_settled, everything

from onstage import App, Service, ask, gather, sleep, spawn, step, wait
from onstage.durable import continue_as_new
from onstage.errors import AskFailed, Cancelled
from onstage.testing import Sim


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()


# --- asking and beginning anew ----------------------------------------------------------------------------


def test_a_gather_of_twenty_asks_gets_each_its_own_answer() -> None:
    house, shop = Service("house"), Service("shop")

    @shop.answers
    async def price(q: Price) -> int:
        await sleep(float(20 - int(q.key)))  # the last one is answered first
        return int(q.key) * 100

    async def twice(n: int) -> int:
        return await ask(Price(str(n))) + await ask(Price("0"))

    @house.workflow(asks=[Price])
    async def run(order: str) -> list[int]:
        own = await gather(*(ask(Price(str(n))) for n in range(20)))
        return [*own, *await gather(twice(1), twice(2))]

    async def scene(sim: Sim) -> None:
        process = await sim.start(run, "o", id="o")
        await sim.advance("2m")
        assert sim.result(process) == [*(n * 100 for n in range(20)), 100, 200]
        _, _, events = sim.read(everything)
        assert sum(each.type == "branchy.price" for each in events) == 24
        check_settled(sim)

    played(App(house, shop), scene)
    assert asyncio.run(Sim(App(house, shop), seed=3).every_crash(scene)) >= 20


def test_a_cancel_told_by_a_branch_is_not_told_again_after_beginning_anew() -> None:
    async def body(order: str) -> str:
        if order == "o":
            try:
                await gather(wait(Left), wait(Right))
            except Cancelled:
                continue_as_new("again")
        return await note(order)

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        process = await sim.start(run, "o", id="o")
        await sim.advance("1m")
        await sim.control("cancel", process)
        await sim.settle()
        assert sim.result(process) == "again"
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=4).every_crash(scene)) >= 4


def test_beginning_anew_waits_for_spawned_branches() -> None:
    async def beside() -> None:
        await sleep("1h")
        await note("beside")

    async def body(order: str) -> str:
        if order == "o":
            spawn(beside())
            continue_as_new("again")
        return await note(order)

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        effects.clear()
        process = await sim.start(run, "o", id="o")
        await sim.advance("2h")
        assert sim.result(process) == "again"
        assert once(effects) == ["note beside", "note again"]
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=4).every_crash(scene)) >= 4


# --- flow control -----------------------------------------------------------------------------------------


def test_a_paused_workflow_waits_and_can_be_cancelled_before_it_begins() -> None:
    async def body(order: str) -> str:
        return await note(order)

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        await sim.pause("house.run")
        kept, off = await sim.start(run, "kept", id="k"), await sim.start(run, "off", id="f")
        await sim.advance("1h")
        assert effects == []
        assert "before it began" in await sim.control("cancel", off)
        await sim.resume("house.run")
        await sim.settle()
        assert sim.result(kept) == "kept"
        with pytest.raises(AskFailed, match="cancelled"):
            sim.result(off)
        assert effects == ["note kept"]
        check_settled(sim)

    played(app, scene)


def test_a_paused_service_answers_when_it_goes_on() -> None:
    house, shop = Service("house"), Service("shop", concurrency=1)

    @shop.answers
    async def price(q: Price) -> int:
        await note(q.key)
        return 1

    async def scene(sim: Sim) -> None:
        await sim.pause("shop")
        for key in ("a", "b"):
            await sim.ask(Price(key), id=key)
        await sim.advance("1h")
        assert effects == []
        await sim.resume("shop")
        await sim.settle()
        assert sorted(effects) == ["note a", "note b"]
        check_settled(sim)

    played(App(house, shop), scene)


def test_an_undo_that_fails_for_good_sets_a_cancelled_execution_aside() -> None:
    """It had failed in the moment of its cancel, so no durable call was told of that any more."""
    tries = [0]

    def never(result: str, name: str) -> None:
        tries[0] += 1
        raise ConnectionError

    @step(undo=never)
    async def lasting(name: str) -> str:
        return name

    @step
    async def fails(name: str) -> str:
        await asyncio.sleep(10)
        raise ValueError(name)

    async def body(order: str) -> str:
        await lasting(order)
        return await fails(order)

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        process = await sim.start(run, "o", id="o")
        cancelling = sim.control("cancel", process)
        await cancelling
        await sim.advance("2h")
        assert [status.label for status in statuses(sim)] == ["dead letter"]
        assert tries == [5]

    played(app, scene)
