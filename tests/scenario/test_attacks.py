"""Awkward moments: branches that fail side by side, refused transactions, parking in odd places, failing undos."""

import asyncio
import contextlib
from typing import Any

import pytest
from tests.scenario.attack_scenes import (
    TABLES,
    Begun,
    Cue,
    Ended,
    broken,
    did,
    first_process,
    keys,
    one,
    orphan,
    overlaps,
    played,
    quick,
    refuse,
    refused,
    running,
    set_slowly,
    slow,
)
from tests.scenario.sim_checks import check_settled, watch_steps

from onstage import App, Reject, Retry, Service, emit, sleep, step, wait
from onstage.errors import StepFailed
from onstage.testing import Sim


@pytest.fixture(autouse=True)
def _clean() -> None:
    for each in (did, keys, overlaps, running):
        each.clear()


# --- branches ---


def test_an_event_that_comes_while_another_branch_runs_wakes_the_wait() -> None:
    async def play(e: Begun) -> Ended:
        _, cue = await asyncio.gather(slow(e.key, 5), wait(Cue))
        return Ended(e.key, str(cue.n))

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.settle()
        assert [ended.text for ended in sim.emitted(Ended)] == ["3"]
        check_settled(sim)

    house = Service("house", tables=TABLES)
    house.on(Begun)(play)

    @house.on(Begun)
    async def cue(e: Begun) -> Cue:
        await slow("other", 2)
        return Cue(e.key, 3)

    played(scene, App(house))


def test_attempts_of_a_step_never_overlap_although_another_branch_failed() -> None:
    async def play(e: Begun) -> Ended:
        await asyncio.gather(broken(e.key), slow(e.key, 30))
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.settle()
        assert sim.verdict(sim.read(first_process)).status == "stuck"
        assert not overlaps
        assert did.count("slow") == 1, "its result was recorded, so it did not run again"

    played(scene, one(play, retry=Retry(3)))


def test_a_step_that_still_runs_when_another_branch_rejects_is_undone_too() -> None:
    async def play(e: Begun) -> Ended:
        await asyncio.gather(refuse(e.key), set_slowly(e.key, 5))
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.settle()
        assert did == ["set", "unset"]
        check_settled(sim)

    played(scene, one(play))


def test_a_handler_that_ends_while_a_branch_still_runs_waits_for_it() -> None:
    async def play(e: Begun) -> Ended:
        with contextlib.suppress(StepFailed):
            await asyncio.gather(broken(e.key), slow(e.key, 5))
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.settle()
        assert did == ["broken", "slow"]
        assert len(sim.emitted(Ended)) == 1
        assert "slow#0  ended" in sim.history(sim.read(first_process))

    played(scene, one(play))


@pytest.mark.parametrize("bad", [orphan, refused], ids=["at the commit", "at once"])
def test_a_refused_transaction_does_not_repeat_what_runs_beside_it(bad: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = watch_steps(monkeypatch)

    async def play(e: Begun) -> Cue | Ended:
        answers = await asyncio.gather(
            bad(e.key), set_slowly(e.key, 1), quick(e.key, 1), emit(Cue(e.key)), return_exceptions=True
        )
        return Ended(e.key, type(answers[0]).__name__)

    async def scenario(sim: Sim) -> None:
        did.clear()
        await sim.emit(Begun("a"))
        await sim.settle()
        assert [ended.text for ended in sim.emitted(Ended)] == ["StepFailed"]
        assert len(sim.emitted(Cue)) == 1
        if not sim.world.kills:
            assert sorted(did) == ["quick a1", "set"]
        check_settled(sim)

    assert asyncio.run(Sim(one(play)).every_crash(scenario))
    assert not repeated


def test_a_handler_that_catches_a_refused_transaction_goes_on() -> None:
    async def play(e: Begun) -> Ended:
        await quick(e.key, 0)
        try:
            await orphan(e.key)
        except StepFailed as error:
            await quick(e.key, 1)
            return Ended(e.key, str(error).partition("\n")[0])
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.settle()
        assert "FOREIGN KEY" in sim.emitted(Ended)[0].text
        check_settled(sim)

    played(scene, one(play))


# --- parking ---


def test_a_wait_inside_a_task_group_parks() -> None:
    async def awaited(call: Any) -> Any:
        return await call

    async def play(e: Begun) -> Ended:
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(awaited(call)) for call in (sleep("1h"), quick(e.key, 2))]
        return Ended(e.key, str(both[1].result()))

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.advance("2h")
        assert [ended.text for ended in sim.emitted(Ended)] == ["2"]
        assert did == ["quick a2"]
        check_settled(sim)

    played(scene, one(play))


def test_a_handler_that_swallows_everything_is_parked_all_the_same() -> None:
    async def play(e: Begun) -> Ended:
        try:
            await sleep("1h")
        except BaseException:  # noqa: BLE001
            await quick(e.key, 0)
            return Ended(e.key, "swallowed")
        return Ended(e.key, "slept")

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.settle()
        assert not sim.emitted(Ended)
        await sim.advance("2h")
        assert [ended.text for ended in sim.emitted(Ended)] == ["slept"]
        assert not did
        check_settled(sim)

    played(scene, one(play))


def test_a_parked_execution_takes_no_place() -> None:
    async def play(e: Begun) -> Ended:
        await sleep("1h")
        await quick(e.key, e.n)
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        for n in range(5):
            await sim.emit(Begun(f"k{n}", n))
        await sim.advance("1h")
        assert len(sim.emitted(Ended)) == 5
        check_settled(sim)

    played(scene, one(play, concurrency=1))


def test_the_handlers_timeout_counts_neither_sleeps_nor_retries() -> None:
    async def play(e: Begun) -> Ended:
        await sleep("1h")
        await quick(e.key, 0)
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        sim.fail(quick, ConnectionError(), times=2)
        await sim.emit(Begun("a"))
        await sim.advance("2h")
        assert len(sim.emitted(Ended)) == 1

    played(scene, one(play, timeout="2s"))


def test_the_handlers_timeout_fails_the_attempt_of_a_slow_one() -> None:
    async def play(e: Begun) -> Ended:
        await slow(e.key, 5)
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Begun("a"))
        await sim.settle()
        assert not sim.emitted(Ended)
        assert "TimeoutError" in str(sim.verdict(sim.read(first_process)))

    played(scene, one(play, timeout="2s", retry=Retry(2)))


# --- undoing ---


def test_an_undo_that_fails_is_tried_again_even_after_a_restart() -> None:
    failures = 0

    async def clumsy(result: str, key: str) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ConnectionError("no line")
        did.append("undone")

    @step(undo=clumsy)
    async def fetch(key: str) -> str:
        did.append("fetched")
        return key

    async def play(e: Begun) -> Ended:
        await fetch(e.key)
        raise Reject("no audience")

    async def scenario(sim: Sim) -> None:
        nonlocal failures
        did.clear()
        failures = 2
        await sim.emit(Begun("a"))
        await sim.settle()
        assert list(dict.fromkeys(did)) == ["fetched", "undone"]
        check_settled(sim)

    assert asyncio.run(Sim(one(play)).every_crash(scenario))
