"""Spawned branches and scopes: what ends with what, what is undone, and a crash at every commit."""

import asyncio
from collections import Counter

from tests.scenario.branch_scenes import (
    Asked,
    Told,
    Yes,
    act,
    app_of,
    at_every_crash,
    book,
    count,
    effects,
    once,
    opened,
    slow,
    told,
)

from onstage import Reject, gather, idempotency_key, sleep, spawn, step, transaction, wait
from onstage.durable import scope
from onstage.ports.store import Connection
from onstage.testing import Sim

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


def test_a_spawned_failure_counts_although_its_branch_has_ended_before_the_handler() -> None:
    async def handler(e: Asked) -> Told:
        spawn(act("shaky"))
        await sleep("1h")
        return Told(e.key, await slow("done"))

    async def scenario() -> None:
        effects.clear()
        async with Sim(app_of(handler), seed=5) as sim:
            sim.fail(act, ConnectionError("down"), times=5)
            await opened(sim)
            await sim.advance("2h")
            assert told(sim) == ["done"]
            assert sim.calls(act) == 6, "four attempts, then the handler's retry opened the step anew"

    asyncio.run(scenario())


def test_a_refused_transaction_that_was_held_in_a_branch_is_made_again_with_the_attempt() -> None:
    refused = [1]

    @transaction
    def book_it(db: Connection) -> int:
        refused[0] -= 1
        if refused[0] >= 0:
            raise ValueError("refused")
        return 1

    async def handler(e: Asked) -> Told:
        number, _ = await gather(book_it(), wait(Yes))
        return Told(e.key, f"number {number}")

    async def scenario() -> None:
        async with Sim(app_of(handler), seed=5) as sim:
            await opened(sim)
            await sim.emit(Yes("a"), id="y")
            await sim.advance("1h")
            assert told(sim) == ["number 1"]
            assert refused == [-1]

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
        names = [
            "before",
            "flight",
            "hotel",
            "car",
            "undo car",
            "taxi",
            "undo taxi",
            "undo hotel",
            "undo flight",
            "after",
        ]
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
    asyncio.run(once(app_of(handler), scenario))


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
