"""Lanes across retries, restarts and redriven dead letters."""

import asyncio

import pytest
from tests.scenario.attack_scenes import (
    Begun,
    Ended,
    did,
    keys,
    one,
    overlaps,
    played,
    quick,
    running,
)
from tests.scenario.sim_checks import check_settled

from onstage import Retry, sleep
from onstage.testing import Sim


@pytest.fixture(autouse=True)
def _clean() -> None:
    for each in (did, keys, overlaps, running):
        each.clear()


def test_a_retry_does_not_give_the_lane_away_before_the_wait() -> None:
    async def play(e: Begun) -> Ended:
        await quick(e.key, e.n)
        await sleep("1h")
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        sim.fail(quick, ConnectionError(), times=2)
        for n in range(3):
            await sim.emit(Begun("a", n))
        await sim.settle()
        assert did == ["quick a0", "quick a1", "quick a2"]
        await sim.advance("1h")
        check_settled(sim)

    played(scene, one(play, lane="until-wait"))


def test_lanes_that_end_at_the_wait_survive_a_restart_at_any_moment() -> None:
    async def play(e: Begun) -> Ended:
        await quick(e.key, e.n)
        await sleep("1h")
        await quick(e.key, 10 + e.n)
        return Ended(e.key)

    async def scenario(sim: Sim) -> None:
        did.clear()
        for n in range(3):
            await sim.emit(Begun("a", n), id=str(n))
        await sim.settle()
        assert list(dict.fromkeys(did)) == ["quick a0", "quick a1", "quick a2"]
        sim.fail(quick, ConnectionError(), times=3)
        await sim.advance("30m")
        await sim.advance("30m")
        assert set(did) == {f"quick a{n}" for n in (0, 1, 2, 10, 11, 12)}
        check_settled(sim)

    assert asyncio.run(Sim(one(play, lane="until-wait")).every_crash(scenario))


def test_a_redriven_dead_letter_takes_nobodys_lane_at_a_restart() -> None:
    async def play(e: Begun) -> Ended:
        await quick(e.key, e.n)
        return Ended(e.key)

    async def scene(sim: Sim) -> None:
        sim.fail(quick, ValueError("bad"), times=3)
        first = await sim.emit(Begun("a", 0))
        await sim.settle()
        await sim.emit(Begun("b", 9))  # something in between
        sim.delay(quick, "1m")
        await sim.emit(Begun("a", 1))
        await sim.emit(Begun("a", 2))
        await sim.operate("retry", first)
        sim.fail(quick, ConnectionError("both fail once"), times=3)
        sim.world.faults.delays_s.clear()
        await sim.advance(0)
        await sim.restart()
        await sim.settle()
        order = [what for what in did if what in ("quick a1", "quick a2")]
        assert order == ["quick a1", "quick a2"]
        check_settled(sim)

    played(scene, one(play, on_failure="park", retry=Retry(1)))
