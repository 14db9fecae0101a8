"""A branch whose time has come, or whose event is there, goes on although a step of another branch still runs."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest
from tests.scenario.branch_scenes import Asked, Told, Yes, act, app_of, at_every_crash, count, effects, once, slow, told
from tests.scenario.flow_scenes import run_for
from tests.scenario.sim_checks import check_settled

from onstage import App, Request, Retry, Service, ask, event, gather, race, sleep, spawn, step, wait
from onstage.durable import CompletedElsewhere, completion_token
from onstage.errors import Cancelled
from onstage.testing import Sim

HOUR_S = 3600


@event("beside.price", key="sku")
@dataclass(frozen=True)
class Price(Request[int]):
    sku: str


@step
async def hours(count: int) -> str:
    await asyncio.sleep(count * HOUR_S)
    return f"{count} hours"


failed_at: list[float] = []


@step(retry=Retry(4, first="10s", factor=1))
async def shaky(name: str) -> str:
    failed_at.append(asyncio.get_running_loop().time())
    if len(failed_at) < 4:
        raise ConnectionError("no line")
    return name


def played(handler: object, *others: tuple[float, object]) -> tuple[list[str], float]:
    """What a handler told, and when it had ended; the events come so many seconds after it began."""
    failed_at.clear()
    found: list[str] = []
    ended: list[float] = []

    async def scene(sim: Sim) -> None:
        process = await sim.emit(Asked("a"))
        for after_s, other in others:
            await run_for(sim, after_s)
            await sim.emit(other, process=process)
        while not told(sim):
            await run_for(sim, 60)
            assert sim.world.loop.time() < 10 * HOUR_S, "it did not end"
        ended.append(sim.world.loop.time())
        found.extend(told(sim))
        check_settled(sim)

    asyncio.run(once(app_of(handler), scene))  # type: ignore[arg-type]
    return found, ended[0]


def test_a_sleep_that_is_over_wins_its_race_against_a_step_that_runs() -> None:
    said: list[float] = []

    async def handler(e: Asked) -> Told:
        result = await race(sleep("50ms"), hours(2))
        said.append(asyncio.get_running_loop().time())
        return Told(e.key, str(result))

    found, ended_s = played(handler)
    assert found == ["None"]
    assert said[0] < 1, "and not after two hours"
    assert ended_s >= 2 * HOUR_S, "the execution ends when the step of the loser has"


def test_an_event_is_taken_while_a_step_of_another_branch_runs() -> None:
    async def answered() -> str:
        yes = await wait(Yes)
        return await act(f"by {yes.by} at {asyncio.get_running_loop().time():.0f}")

    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await gather(answered(), hours(1))))

    found, ended_s = played(handler, (60, Yes("a", "ann")))
    assert found == ["by ann at 60 1 hours"]
    assert HOUR_S <= ended_s <= HOUR_S + 120


def test_a_wait_is_over_in_time_while_a_step_of_another_branch_runs() -> None:
    async def patient() -> str:
        try:
            await wait(Yes, timeout="1m")
        except TimeoutError:
            return f"waited {asyncio.get_running_loop().time():.0f}"
        return "it came"

    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await gather(patient(), hours(1))))

    assert played(handler)[0] == ["waited 60 1 hours"]


def test_a_step_is_tried_again_while_a_step_of_another_branch_runs() -> None:
    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await gather(shaky("s"), hours(1))))

    assert played(handler)[0] == ["s 1 hours"]
    assert len(failed_at) == 4
    assert failed_at[-1] < 60, "not every hour"


def test_bare_asyncio_gather_is_no_worse() -> None:
    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await asyncio.gather(shaky("s"), hours(1))))

    assert played(handler)[0] == ["s 1 hours"]
    assert failed_at[-1] < 60


def test_the_handler_itself_sleeps_no_longer_for_what_it_has_spawned() -> None:
    async def handler(e: Asked) -> Told:
        beside = spawn(hours(2))
        for _ in range(3):
            await sleep("1m")
        at = await act(f"{asyncio.get_running_loop().time():.0f}")
        return Told(e.key, f"{at} {await beside}")

    assert played(handler)[0] == ["180 2 hours"]


def test_a_request_is_answered_or_times_out_while_a_step_of_another_branch_runs() -> None:
    house, shop = Service("house"), Service("shop")
    said: list[str] = []

    @shop.answers
    async def price(q: Price) -> int:
        await sleep("10m" if q.sku == "slow" else "1m")
        return 7

    async def asking(sku: str) -> str:
        try:
            said.append(f"{sku} {await ask(Price(sku), timeout='5m')} at {asyncio.get_running_loop().time():.0f}")
        except TimeoutError:
            said.append(f"{sku} late at {asyncio.get_running_loop().time():.0f}")
        return sku

    @house.on(Asked, asks=[Price])
    async def begin(e: Asked) -> None:
        await gather(asking("quick"), asking("slow"), hours(1))

    async def scene(sim: Sim) -> None:
        await sim.emit(Asked("a"))
        await sim.advance("2h")
        assert said == ["quick 7 at 60", "slow late at 300"]

    asyncio.run(once(App(house, shop), scene))


def test_a_completion_is_taken_while_a_step_of_another_branch_runs() -> None:
    house = Service("house")
    tokens: list[str] = []
    taken: list[float] = []

    @step(completion_timeout="3h")
    async def sign() -> str:
        tokens.append(completion_token())
        raise CompletedElsewhere

    async def signed() -> None:
        await sign()
        taken.append(asyncio.get_running_loop().time())

    @house.on(Asked)
    async def begin(e: Asked) -> None:
        await gather(signed(), hours(2))

    async def scene(sim: Sim) -> None:
        await sim.emit(Asked("a"))
        await run_for(sim, 60)
        await sim.complete(tokens[0], "yes")
        await sim.advance("3h")
        assert 60 <= taken[0] < 62

    asyncio.run(once(App(house), scene))


def test_a_cancel_is_told_to_a_branch_that_sleeps_while_a_step_of_another_runs() -> None:
    house = Service("house")
    told_at: list[float] = []

    async def napping() -> None:
        try:
            await sleep("5h")
        except Cancelled:
            told_at.append(asyncio.get_running_loop().time())
            raise

    @house.workflow
    async def trip(name: str) -> None:
        await gather(napping(), hours(2))

    async def scene(sim: Sim) -> None:
        handle = await sim.start(trip, "t", id="t")
        await run_for(sim, 60)
        await sim.control("cancel", handle)
        await sim.advance("3h")
        assert told_at
        assert told_at[0] < 62

    asyncio.run(once(App(house), scene))


@pytest.mark.parametrize("budget", [None, 0.1])
def test_a_retry_that_a_budget_counts_waits_until_the_execution_has_parked(budget: float | None) -> None:
    failed_at.clear()
    house = Service("house")

    @house.on(Asked, retry_budget=budget)
    async def begin(e: Asked) -> None:
        await gather(shaky("s"), hours(1))

    async def scene(sim: Sim) -> None:
        await sim.emit(Asked("a"))
        await sim.advance("5h")
        assert len(failed_at) == 4
        assert (failed_at[1] < HOUR_S) == (budget is None)

    asyncio.run(once(App(house), scene))


def test_nothing_is_done_twice_or_lost_wherever_the_node_dies() -> None:
    async def napping() -> str:
        await sleep("3s")
        return await act("rested")

    async def handler(e: Asked) -> Told:
        first = await race(wait(Yes), slow("lost"))
        texts = await gather(napping(), slow("long"), act("quick"))
        return Told(e.key, f"{type(first).__name__} {' '.join(texts)}")

    async def scenario(sim: Sim) -> None:
        process = await sim.emit(Asked("a"))
        await sim.emit(Yes("a"), process=process, id="yes")
        await sim.advance("5m")
        assert told(sim) == ["Yes rested long quick"]
        assert count() - Counter(["rested", "long", "quick"]) <= Counter(["lost", "undo lost"])
        check_settled(sim)

    assert at_every_crash(handler, scenario) > 8
    assert ("rested") in {name for name, _ in effects}
