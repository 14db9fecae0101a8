"""Durable branches: side by side, raced, spawned and scoped, with parking, retries and a crash at every commit."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from onstage import App, Process, Reject, Service, event, gather, idempotency_key, race, sleep, spawn, step, wait
from onstage.durable import scope
from onstage.errors import StepFailed
from onstage.testing import Sim


@event("branch.asked", key="key")
@dataclass(frozen=True)
class Asked:
    key: str


@event("branch.yes", key="key")
@dataclass(frozen=True)
class Yes:
    key: str
    by: str = ""


@event("branch.no", key="key")
@dataclass(frozen=True)
class No:
    key: str
    by: str = ""


@event("branch.told", key="key")
@dataclass(frozen=True)
class Told:
    key: str
    text: str


Handler = Callable[[Asked], Awaitable[Told]]
effects: list[tuple[str, str]] = []


async def undo_act(result: str | None, name: str) -> None:
    effects.append((f"undo {name}", idempotency_key()))


@step(retries=3)
async def act(name: str) -> str:
    effects.append((name, idempotency_key()))
    return name


@step(retries=3, undo=undo_act)
async def book(name: str) -> str:
    effects.append((name, idempotency_key()))
    return name


@step(retries=3, undo=undo_act)
async def slow(name: str) -> str:
    await asyncio.sleep(10)
    effects.append((name, idempotency_key()))
    return name


@step
async def refuse(name: str) -> str:
    effects.append((name, idempotency_key()))
    raise ValueError(name)


def app_of(handler: Handler) -> App:
    house = Service("house")
    house.on(Asked, emits=[Told], waits=[Yes, No])(handler)  # type: ignore[arg-type]
    return App(house, Process("asked", starts=Asked, done=Told, external=[Yes, No], owner=house))


def count() -> Counter[str]:
    """How many effects there were with a key of their own, by name: an effect that is repeated has the same key."""
    return Counter(name for name, _ in set(effects))


def at_every_crash(handler: Handler, scenario: Callable[[Sim], Awaitable[None]]) -> int:
    async def fresh(sim: Sim) -> None:
        effects.clear()
        await scenario(sim)

    return asyncio.run(Sim(app_of(handler), seed=5).every_crash(fresh))


def told(sim: Sim) -> list[str]:
    return [each.text for each in sim.emitted(Told)]


async def opened(sim: Sim, *others: object) -> str:
    process = await sim.emit(Asked("a"))
    for other in others:
        await sim.emit(other)
    await sim.settle()
    return process


# --- gather ---


def test_branches_of_calls_and_coroutines_answer_in_their_order_at_every_crash() -> None:
    async def chain(name: str) -> str:
        first = await act(f"{name}1")
        await sleep("1h")
        return first + await act(f"{name}2")

    async def handler(e: Asked) -> Told:
        left, alone, (right, deep) = await gather(chain("l"), act("alone"), gather(chain("r"), act("deep")))
        return Told(e.key, " ".join([left, alone, right, deep, await act("end")]))

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("2h")
        assert told(sim) == ["l1l2 alone r1r2 deep end"]
        assert count() == Counter(["l1", "l2", "alone", "r1", "r2", "deep", "end"])

    assert at_every_crash(handler, scenario) > 6


def test_a_branch_that_waits_holds_up_no_other_and_an_event_is_taken_by_one() -> None:
    async def decided(name: str) -> str:
        answer = await wait(Yes, No)
        return f"{name}:{answer.by} {await act(name)}"

    async def handler(e: Asked) -> Told:
        return Told(e.key, ", ".join(await gather(decided("x"), decided("y"), act("quick"))))

    async def scenario(sim: Sim) -> None:
        process = await opened(sim)
        assert count() == Counter(["quick"])
        await sim.emit(Yes("a", "1"), id="yes")
        await sim.settle()
        assert (told(sim), count()) == ([], Counter(["quick", "x"]))
        await sim.emit(No("a", "2"), id="no")
        await sim.settle()
        assert told(sim) == ["x:1 x, y:2 y, quick"], process
        assert count() == Counter(["quick", "x", "y"])

    assert at_every_crash(handler, scenario) > 6


def test_gather_waits_for_all_and_raises_the_failure_at_the_lowest_position() -> None:
    async def late(name: str) -> str:
        await sleep("1h")
        return await refuse(name)

    async def handler(e: Asked) -> Told:
        try:
            await gather(act("fine"), late("first"), refuse("second"))
        except StepFailed as failure:
            return Told(e.key, failure.error.splitlines()[0])
        raise AssertionError

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        assert told(sim) == []
        await sim.advance("1h")
        assert told(sim) == ["ValueError: first"]
        assert count() == Counter(["fine", "first", "second"])

    assert at_every_crash(handler, scenario) > 4


@pytest.mark.parametrize("bare", [False, True])
def test_a_step_that_failed_beside_a_branch_that_waits_is_not_run_again_at_each_wake(bare: bool) -> None:
    """What failed is held in the journal: the execution has parked before anybody could go on past it."""

    async def handler(e: Asked) -> Told:
        calls = refuse("bad"), wait(Yes), wait(No)
        try:
            if bare:
                bad, yes, no = await asyncio.gather(*calls, return_exceptions=True)
                return Told(e.key, f"{bad}, {yes}, {no}")
            await gather(*calls)
        except StepFailed as failure:
            return Told(e.key, str(failure))
        raise AssertionError

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.emit(Yes("a"), id="y")
        await sim.settle()
        await sim.emit(No("a"), id="n")
        await sim.settle()
        assert "step refuse failed after 1 attempt" in told(sim)[0]
        assert sim.calls(refuse) == 1 or sim.world.kills

    assert at_every_crash(handler, scenario) > 3
    effects.clear()
    asyncio.run(_once(app_of(handler), scenario))
    assert [name for name, _ in effects] == ["bad"]


async def _once(app: App, scenario: Callable[[Sim], Awaitable[None]]) -> None:
    async with Sim(app, seed=5) as sim:
        await scenario(sim)


def test_a_held_failure_that_leaves_the_handler_opens_its_step_again() -> None:
    async def handler(e: Asked) -> Told:
        kept, _ = await gather(act("shaky"), wait(Yes))
        return Told(e.key, kept)

    async def scenario() -> None:
        effects.clear()
        async with Sim(app_of(handler), seed=5) as sim:
            sim.fail(act, ConnectionError("down"), times=4)
            await opened(sim)
            await sim.advance("10m")
            assert sim.calls(act) == 4
            await sim.emit(Yes("a"))
            await sim.settle()
            await sim.advance("2h")
            assert told(sim) == ["shaky"]
            assert sim.calls(act) == 5

    asyncio.run(scenario())


def test_retries_in_one_branch_and_sleep_in_another_wake_at_the_earliest() -> None:
    async def napping() -> str:
        await sleep("30m")
        return await act("rested")

    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await gather(napping(), book("stubborn"))))

    async def scenario(sim: Sim) -> None:
        sim.fail(book, ConnectionError("down"), times=3)
        await opened(sim)
        await sim.advance("20m")
        assert count() == Counter(["stubborn"])
        assert told(sim) == []
        await sim.advance("10m")
        assert told(sim) == ["rested stubborn"]

    assert at_every_crash(handler, scenario) > 5


# --- race ---


def test_the_winner_of_a_race_is_journaled_and_the_loser_gives_its_event_back() -> None:
    async def handler(e: Asked) -> Told:
        first = await race(wait(Yes), wait(No))
        await sleep("1h")  # from here on everything is replayed
        second = await wait(Yes, No)
        return Told(e.key, f"{type(first).__name__} {type(second).__name__}")

    async def scenario(sim: Sim) -> None:
        process = await opened(sim)
        await sim.emit(No("a"), id="n")
        await sim.emit(Yes("a"), id="y")
        await sim.settle()
        await sim.advance("1h")
        assert told(sim)[0] in ("No Yes", "Yes No"), process

    assert at_every_crash(handler, scenario) > 5


def test_a_race_against_time() -> None:
    async def handler(e: Asked) -> Told:
        async def asked() -> str:
            return (await wait(Yes)).by

        async def bored() -> str:
            await sleep("1h")
            return "nobody"

        return Told(e.key, await race(asked(), bored()))

    async def late(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        assert told(sim) == ["nobody"]

    async def early(sim: Sim) -> None:
        await opened(sim)
        await sim.emit(Yes("a", "ada"), id="y")
        await sim.settle()
        assert told(sim) == ["ada"]
        await sim.advance("2h")
        assert told(sim) == ["ada"]

    assert at_every_crash(handler, late) > 3
    assert at_every_crash(handler, early) > 3


def test_the_running_step_of_a_loser_is_finished_abandoned_and_undone() -> None:
    async def handler(e: Asked) -> Told:
        winner = await race(slow("slow"), act("quick"))
        return Told(e.key, f"{winner} {await act('after')}")

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        assert told(sim) == ["quick after"]
        assert count()["quick"] == count()["after"] == 1
        done = count()
        assert done["slow"] == done["undo slow"], "what a loser did is taken back, however often the node dies"
        assert done["slow"] == 1 or sim.world.kills
        if done["slow"]:
            assert [name for name, _ in effects][-1] == "undo slow"

    assert at_every_crash(handler, scenario) > 4


def test_a_branch_that_loses_goes_no_further_than_it_had_come() -> None:
    async def chain() -> str:
        await book("l1")
        await sleep("1h")
        await book("l2")
        return "chain"

    async def handler(e: Asked) -> Told:
        return Told(e.key, await race(chain(), wait_for_yes()))

    async def wait_for_yes() -> str:
        return (await wait(Yes)).by

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.emit(Yes("a", "ada"), id="y")
        await sim.settle()
        await sim.advance("5h")
        assert told(sim) == ["ada"]
        assert count() == Counter(["l1"])

    assert at_every_crash(handler, scenario) > 3


def test_a_race_that_fails_fails_with_its_first() -> None:
    async def handler(e: Asked) -> Told:
        try:
            await race(refuse("bad"), wait(Yes))
        except StepFailed as failure:
            await sleep("1h")
            return Told(e.key, failure.error.splitlines()[0])
        raise AssertionError

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        assert told(sim) == ["ValueError: bad"]

    assert at_every_crash(handler, scenario) > 3


# --- spawn ---


def test_an_execution_ends_when_its_spawned_branches_have() -> None:
    async def beside() -> None:
        await act("b1")
        await sleep("3h")
        await act("b2")

    async def handler(e: Asked) -> Told:
        spawn(beside())
        answer = spawn(act("answer"))
        await act("main")
        await sleep("1h")
        return Told(e.key, await answer)

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        assert count() == Counter(["b1", "answer", "main"])
        await sim.advance("1h")
        assert told(sim) == []
        await sim.advance("2h")
        assert told(sim) == ["answer"]
        assert count() == Counter(["b1", "b2", "answer", "main"])

    assert at_every_crash(handler, scenario) > 4


def test_a_spawned_failure_that_nobody_awaits_fails_the_attempt() -> None:
    async def handler(e: Asked) -> Told:
        spawn(act("shaky"))
        return Told(e.key, "done")

    async def scenario() -> None:
        effects.clear()
        async with Sim(app_of(handler), seed=5) as sim:
            sim.fail(act, ConnectionError("down"), times=5)
            await opened(sim)
            await sim.advance("2h")
            assert told(sim) == ["done"]
            assert sim.calls(act) == 6, "four attempts, then the handler's retry opened the step anew"

    asyncio.run(scenario())


def test_what_was_spawned_ends_with_a_handler_that_fails() -> None:
    failing = [True]

    async def beside() -> None:
        await wait(Yes)
        await act("never")

    async def handler(e: Asked) -> Told:
        spawn(beside())
        await act("main")
        if failing:
            failing.clear()
            raise ConnectionError
        raise Reject("no")

    async def scenario() -> None:
        effects.clear()
        async with Sim(app_of(handler), seed=5) as sim:
            await opened(sim)
            await sim.advance("1h")
            assert "no" in sim.history("a")
            assert count() == Counter(["main"])
            assert sim.verdict("a").is_final

    asyncio.run(scenario())


# --- scope ---


def test_a_rejection_aborts_the_innermost_scope_and_undoes_its_steps_backwards() -> None:
    async def handler(e: Asked) -> Told:
        await book("before")
        async with scope("trip") as trip:
            await gather(book("flight"), book("hotel"))
            async with scope("car") as car:
                await book("car")
                raise Reject("no cars")
            await book("taxi" if car.rejected else "petrol")
            spawn(wait(Yes))
            raise Reject("no trip")
        await sleep("1h")
        return Told(e.key, f"{car.rejected} {trip.rejected} {await act('after')}")

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        assert told(sim) == ["no cars no trip after"]
        names = ["before", "flight", "hotel", "car", "undo car", "taxi", "undo taxi", "undo hotel", "undo flight", "after"]
        assert count() == Counter(names)
        order = list(dict.fromkeys(name for name, _ in effects))
        assert order.index("undo car") < order.index("taxi") < order.index("undo taxi")
        assert order.index("undo taxi") < min(order.index("undo hotel"), order.index("undo flight"))

    assert at_every_crash(handler, scenario) > 10


@step
async def say_no(reason: str) -> None:
    effects.append(("say no", idempotency_key()))
    raise Reject(reason)


def test_a_step_that_rejects_in_a_scope_is_recorded() -> None:
    async def handler(e: Asked) -> Told:
        async with scope("trip") as trip:
            await book("flight")
            await say_no("full")
        answer = await wait(Yes)
        return Told(e.key, f"{trip.rejected} {answer.by}")

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.emit(Yes("a", "ada"), id="y")
        await sim.settle()
        assert told(sim) == ["full ada"]
        assert count() == Counter(["flight", "say no", "undo flight"])

    assert at_every_crash(handler, scenario) > 4
    asyncio.run(_once(app_of(handler), scenario))


def test_a_rejection_after_a_scope_undoes_what_the_scope_kept() -> None:
    async def handler(e: Asked) -> Told:
        async with scope("trip"):
            await book("flight")
        async with scope("lost"):
            await book("car")
            raise Reject("no cars")
        raise Reject("no")

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        assert count() == Counter(["flight", "car", "undo car", "undo flight"])
        assert sim.verdict("a").is_final

    assert at_every_crash(handler, scenario) > 4
