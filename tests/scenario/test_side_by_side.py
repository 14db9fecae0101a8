"""Branches side by side, and raced: parking, retries, failures, and a crash at every commit."""

import asyncio
from collections import Counter

import pytest
from tests.scenario.branch_scenes import (
    Asked,
    No,
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
    refuse,
    slow,
    told,
)

from onstage import emit, gather, idempotency_key, race, sleep, step, wait
from onstage.errors import StepFailed
from onstage.testing import Sim

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
    asyncio.run(once(app_of(handler), scenario))
    assert [name for name, _ in effects] == ["bad"]


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


def test_who_has_won_a_race_stays_the_winner_although_another_could_win_now() -> None:
    async def asked() -> str:
        return (await wait(Yes)).by

    async def bored() -> str:
        await sleep("1h")
        return "nobody"

    async def handler(e: Asked) -> Told:
        winner = await race(asked(), bored())
        await sleep("1h")
        return Told(e.key, f"{winner} {(await wait(Yes)).by}")

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        await sim.emit(Yes("a", "ada"), id="y")
        await sim.settle()
        await sim.advance("1h")
        assert told(sim) == ["nobody ada"], "and the event is still there for who waits next"

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


def test_a_step_of_a_loser_that_had_not_begun_never_does() -> None:
    """It was waiting for the disk when the race was decided: it is not in doubt, and no replay begins it."""

    async def chain() -> str:
        await book("l1")
        return await book("l2")

    async def handler(e: Asked) -> Told:
        winner = await race(chain(), act("quick"))
        await sleep("1h")
        return Told(e.key, winner)

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        assert told(sim) == ["quick"]
        assert count() == Counter(["l1", "quick"])

    effects.clear()
    asyncio.run(once(app_of(handler), scenario))


def test_a_loser_that_cleans_up_tells_nothing() -> None:
    """A call that is no step has no other guard: nobody may hear of a branch that has lost."""

    async def chain(key: str) -> str:
        try:
            return await slow("slow")
        finally:
            await emit(Told(key, "the loser"))

    async def handler(e: Asked) -> Told:
        return Told(e.key, await race(chain(e.key), act("quick")))

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        assert told(sim) == ["quick"]

    effects.clear()
    asyncio.run(once(app_of(handler), scenario))


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


def test_an_undo_of_a_loser_that_fails_at_first_is_tried_until_it_succeeds() -> None:
    tries = [3]

    async def shaky(result: str | None, name: str) -> None:
        tries[0] -= 1
        if tries[0] >= 0:
            raise ConnectionError
        effects.append((f"undo {name}", idempotency_key()))

    @step(undo=shaky)
    async def lasting(name: str) -> str:
        await asyncio.sleep(10)
        effects.append((name, idempotency_key()))
        return name

    async def handler(e: Asked) -> Told:
        return Told(e.key, await race(lasting("slow"), act("quick")))

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        assert told(sim) == ["quick"]
        assert count() == Counter(["quick", "slow", "undo slow"])
        assert tries == [-1]

    effects.clear()
    asyncio.run(once(app_of(handler), scenario))


def test_a_cancelled_undo_of_a_loser_is_tried_again_before_its_execution_ends() -> None:
    """Whatever the undo awaits may cancel it; what the loser did must not stay done because of that."""
    tries = [2]

    async def shaky(result: str | None, name: str) -> None:
        tries[0] -= 1
        if tries[0] >= 0:
            raise asyncio.CancelledError
        effects.append((f"undo {name}", idempotency_key()))

    @step(undo=shaky)
    async def lasting(name: str) -> str:
        await asyncio.sleep(10)
        effects.append((name, idempotency_key()))
        return name

    async def handler(e: Asked) -> Told:
        return Told(e.key, await race(lasting("slow"), act("quick")))

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        await sim.advance("1h")
        assert told(sim) == ["quick"]
        assert count() == Counter(["quick", "slow", "undo slow"])

    effects.clear()
    asyncio.run(once(app_of(handler), scenario))
    assert tries == [-1]
