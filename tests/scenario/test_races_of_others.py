"""Races that other engines had, each with the address of the thread it comes from; here in executions with branches."""

import asyncio
from collections import Counter

import pytest
from tests.scenario.branch_scenes import (
    Asked,
    Told,
    Yes,
    act,
    app_of,
    at_every_crash,
    count,
    effects,
    once,
    opened,
    slow,
    told,
)

from onstage import App, Service, gather, idempotency_key, spawn, step, wait
from onstage.testing import Sim

order: list[int] = []


def test_an_execution_is_not_suspended_on_its_own_unfinished_step() -> None:
    """https://github.com/restatedev/restate/issues/5196: suspended while a step of its own ran, woken by nobody.

    Every other branch waits. The execution may not park while the step runs, or not without waking when it has ended.
    """

    async def chain() -> str:
        first = await slow("one")
        return first + await slow("two")

    async def handler(e: Asked) -> Told:
        both, answer = await gather(chain(), wait(Yes))
        return Told(e.key, both + answer.by)

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        assert count() == Counter(["one", "two"])
        assert "waits for branch.yes" in str(sim.verdict("a"))
        await sim.emit(Yes("a", "ada"), id="y")
        await sim.settle()
        assert told(sim) == ["onetwoada"]

    assert at_every_crash(handler, scenario) > 4


def test_an_event_that_comes_while_a_step_runs_wakes_the_branch_that_waits() -> None:
    """https://github.com/restatedev/restate/issues/5196, the other way about: nothing is lost while it is busy."""

    async def answered() -> str:
        return (await wait(Yes)).by

    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await gather(answered(), slow("step"))))

    async def scenario(sim: Sim) -> None:
        await sim.emit(Asked("a"))
        await sim.emit(Yes("a", "ada"))
        await sim.settle()
        assert told(sim) == ["ada step"]

    effects.clear()
    asyncio.run(once(app_of(handler), scenario))


@step(retries=2)
async def take_turn(key: str) -> str:
    order.append(int(key))
    effects.append((f"turn {key}", idempotency_key()))
    return key


@pytest.mark.parametrize("branches", [1, 3])
def test_twenty_events_at_concurrency_one_are_dealt_with_in_their_order(branches: int) -> None:
    """https://github.com/inngest/inngest/issues/3050: twenty events, concurrency 1, in random order."""
    house = Service("house")

    @house.on(Asked, concurrency=1)
    async def handler(e: Asked) -> Told:
        await gather(*(take_turn(e.key) for _ in range(branches)))
        return Told(e.key, "done")

    async def scenario(sim: Sim) -> None:
        for number in range(20):
            await sim.emit(Asked(f"{number}"))
        await sim.settle()
        assert [told.key for told in sim.emitted(Told)] == [str(number) for number in range(20)]
        assert order == [number for number in range(20) for _ in range(branches)]

    order.clear()
    asyncio.run(once(App(house), scenario))


def test_a_free_worker_is_not_kept_from_work_by_branches_that_wait() -> None:
    """https://github.com/inngest/inngest-py/issues/351: two minutes' wait although a worker is free.

    Every place of the handler is taken by an execution whose branches are in long steps or wait; a parked one gives its
    place back at once, and a running one holds up nobody but itself.
    """
    house = Service("house")

    @house.on(Asked, concurrency=2, waits=[Yes])
    async def handler(e: Asked) -> Told:
        spawn(act(f"beside {e.key}"))
        if e.key != "quick":
            await gather(wait(Yes), act(f"own {e.key}"))
        return Told(e.key, "done")

    async def scenario(sim: Sim) -> None:
        for number in range(10):
            await sim.emit(Asked(f"{number}"))
        await sim.settle()
        before = sim.clock.now_ms()
        await sim.emit(Asked("quick"))
        await sim.settle()
        assert [told.key for told in sim.emitted(Told)] == ["quick"]
        assert sim.clock.now_ms() - before < 1_000

    effects.clear()
    asyncio.run(once(App(house), scenario))
