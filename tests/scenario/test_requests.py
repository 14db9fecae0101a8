"""Requests, workflows and cancellations with a crash at every commit; races of others are in a file of their own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.request_scenes import Go, count, done_and_undone, effects, family, make, named, statuses
from tests.scenario.sim_checks import check_settled, watch_steps

from onstage import App, Process, Reject, Request, Service, ask, event
from onstage.errors import AskFailed
from onstage.events.receipt import Status
from onstage.runtime import dispatcher
from onstage.runtime.local_ways import LocalWays
from onstage.testing import Sim

ATTEMPTS = 15  # of a step with two retries, in a handler with five attempts
Scene = Callable[[Sim], Awaitable[None]]


@event("town.wanted", key="key")
@dataclass(frozen=True)
class Wanted:
    key: str


@event("town.found", key="key")
@dataclass(frozen=True)
class Found:
    key: str
    text: str


@event("town.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    key: str


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()


@pytest.fixture(params=[512, 1], ids=["fused", "one by one"])
def fusion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a turn of one delivery, every hop is a batch of its own: more places to die at."""
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", request.param)


# --- asking -----------------------------------------------------------------------------------------------


def town(answer: Callable[[Price], Awaitable[int]]) -> App:
    city, pricing = Service("city"), Service("pricing")

    @city.on(Wanted)
    async def look(e: Wanted) -> Found:
        try:
            return Found(e.key, str(await ask(Price(e.key)) + await ask(Price(f"{e.key}2"))))
        except AskFailed as error:
            return Found(e.key, str(error))

    @pricing.answers
    async def price(q: Price) -> int:
        return await answer(q)

    return App(city, pricing, Process("search", starts=Wanted, done=Found, owner=city))


async def made_price(q: Price) -> int:
    return len(await make(q.key))


async def no_price(q: Price) -> int:
    await make(q.key)
    raise Reject("sold out")


async def asked_and_answered(sim: Sim) -> None:
    effects.clear()
    await sim.emit(Wanted("a"))
    await sim.settle()
    check_settled(sim)
    assert [found.text for found in sim.emitted(Found)] == ["3"], sim.history("a")
    assert (count(sim, "town.price"), count(sim, "onstage.answer/town.price")) == (2, 2)
    assert set(effects) == {"make a", "make a2"}


async def asked_in_vain(sim: Sim) -> None:
    effects.clear()
    await sim.emit(Wanted("a"))
    await sim.settle()
    check_settled(sim)
    assert [found.text for found in sim.emitted(Found)] == ["town.price was rejected: sold out"]
    assert (count(sim, "town.price"), count(sim, "onstage.answer/town.price")) == (1, 1)
    assert set(effects) == {"make a", "unmake a"}


@pytest.mark.parametrize(("answer", "scene"), [(made_price, asked_and_answered), (no_price, asked_in_vain)])
def test_there_is_one_request_and_one_answer_wherever_it_crashes(
    answer: Callable[[Price], Awaitable[int]], scene: Scene, fusion: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = watch_steps(monkeypatch)
    points = asyncio.run(Sim(town(answer), seed=3).every_crash(scene))
    assert points >= 4
    assert not repeated


def test_who_asks_waits_until_the_dead_letter_of_the_answerer_is_retried() -> None:
    async def story() -> None:
        async with Sim(town(made_price), seed=4) as sim:
            sim.fail(make, ConnectionError("away"), times=ATTEMPTS)
            await sim.emit(Wanted("a"))
            await sim.settle()
            await sim.advance("3h")
            verdict = str(sim.verdict("a"))
            assert verdict.startswith("stuck: pricing.price is a dead letter"), verdict
            assert statuses(sim) == [Status.WAITING, Status.PARKED]
            await sim.operate("retry", "a")
            await sim.settle()
            check_settled(sim)
            assert [found.text for found in sim.emitted(Found)] == ["3"]

    asyncio.run(story())


def test_who_asks_is_told_when_the_dead_letter_of_the_answerer_is_dropped() -> None:
    async def story() -> None:
        async with Sim(town(made_price), seed=4) as sim:
            sim.fail(make, ConnectionError("away"), times=ATTEMPTS)
            await sim.emit(Wanted("a"))
            await sim.settle()
            await sim.advance("3h")
            await sim.operate("drop", "a")
            await sim.settle()
            check_settled(sim)
            assert [found.text.partition(":")[0] for found in sim.emitted(Found)] == ["town.price was dropped"]

    asyncio.run(story())


def test_the_answer_may_come_before_the_wait() -> None:
    """The most repeated race of this class of systems: "the event came before the wait".

    https://github.com/restatedev/restate/issues/5196 and https://github.com/temporalio/sdk-python/issues/1445
    """
    city = Service("city")

    @city.answers
    async def price(q: Price) -> int:
        return len(q.key)

    @city.on(Wanted)
    async def look(e: Wanted) -> Found:
        # Both answers come while a branch is still at work, so that nobody is parked who could be woken.
        first, _, second = await asyncio.gather(ask(Price("first")), make("between"), ask(Price("second")))
        return Found(e.key, f"{first} {second}")

    async def scene(sim: Sim) -> None:
        await sim.emit(Wanted("a"))
        await sim.settle()
        check_settled(sim)
        assert [found.text for found in sim.emitted(Found)] == ["5 6"]
        assert count(sim, "town.price") == 2

    app = App(city, Process("search", starts=Wanted, done=Found, owner=city))
    assert asyncio.run(Sim(app, seed=5).every_crash(scene)) >= 4


# --- workflows --------------------------------------------------------------------------------------------


def test_a_child_runs_once_and_its_result_is_the_value_wherever_it_crashes(
    fusion: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = watch_steps(monkeypatch)
    app, house = family()

    async def scene(sim: Sim) -> None:
        process = await sim.start(named(house, "parent"), "p", id="p")
        await sim.settle()
        await sim.emit(Go("p"), process=process)
        await sim.settle()
        check_settled(sim)
        assert sim.result(process) == "p child grown"
        assert count(sim, "onstage.start/house.child") == 1

    assert asyncio.run(Sim(app, seed=6).every_crash(scene)) >= 6
    assert not repeated


# --- cancelling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(3))
def test_a_cancel_in_the_middle_of_a_step_of_parent_or_child_leaves_nothing(at: int) -> None:
    """The same, with the cancel asked for at the n-th call of a step, of whoever runs; at 2 there is no such call."""
    app, house = family()
    parent = named(house, "parent")

    async def story() -> None:
        async with Sim(app, seed=9) as sim:
            calls, plain = list[str](), sim.world.faults.invoke

            async def invoke(step: Any, frame: Any, position: str, arguments: tuple[Any, ...]) -> Any:
                calls.append(position)
                if len(calls) == at + 1:
                    node = sim.world.node
                    root = node.numbers.identity.wire(frame.delivery.process)
                    node.spawn(LocalWays(node).control("cancel", root))
                return await plain(step, frame, position, arguments)

            sim.world.node.invoke = invoke
            process = await sim.start(parent, "p", id="p")
            await sim.settle()
            if len(calls) <= at:
                await sim.control("cancel", process)
                await sim.settle()
            check_settled(sim)
            assert set(statuses(sim)) == {Status.CANCELLED}, sim.history("p")
            assert done_and_undone()

    asyncio.run(story())
