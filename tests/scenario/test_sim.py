"""The simulated world itself: time, faults, crashes, and that it repeats itself."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.scenario.scenes import Closed, Opened, act, acting, approving, effects, one, order, played

from onstage import (
    Service,
    idempotency_key,
    step,
)
from onstage.testing import Sim


@pytest.fixture(autouse=True)
def _clean() -> None:
    effects.clear()
    order.clear()


def test_a_day_passes_at_once_and_a_wait_times_out() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.verdict("a").status == "waiting"
        await sim.advance("23h")
        assert sim.outcome("a") is None
        await sim.advance("1h")
        assert sim.outcome("a") == "Cancelled"
        assert sim.verdict("a").status == "completed"
        assert "timed out" in sim.history("a")

    played(scene, one(approving))


def test_a_failing_step_is_tried_again_and_settle_does_not_wait_for_it_in_real_time() -> None:
    async def scene(sim: Sim) -> None:
        sim.fail(act, ConnectionError("no line"), times=2)
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.calls(act) == 3
        assert len(effects) == 1
        assert sim.emitted(Closed) == [Closed("a")]

    played(scene, one(acting))


def test_a_step_is_called_again_with_the_same_key_if_the_node_dies_after_its_effect() -> None:
    app = one(acting)

    async def scene(sim: Sim) -> None:
        sim.crash(app.services[0], after=act)
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.calls(act) == 2
        assert len(effects) == 2
        assert len(set(effects)) == 1, "both calls carry the same idempotency key"
        assert sim.outcome("a") == "Closed"
        assert sim.world.kills == 1

    played(scene, app)


def test_a_stub_replaces_a_step_by_a_value_or_a_function() -> None:
    async def scene(sim: Sim) -> None:
        sim.stub(act, "by value")
        await sim.emit(Opened("a"))
        await sim.settle()
        keys: list[str] = []

        async def stand_in(key: str) -> str:
            keys.append(idempotency_key())
            return key

        sim.stub(act, stand_in)
        await sim.emit(Opened("b"))
        await sim.settle()
        assert not effects
        assert len(keys) == 1
        assert "by value" in sim.history("a")

    played(scene, one(acting))


def test_a_slow_step_takes_virtual_time_and_its_timeout_counts_it() -> None:
    @step(timeout="3s", retries=1)
    async def slow(key: str) -> None:
        effects.append(("slow", key))

    def handler(stage: Service) -> None:
        @stage.on(Opened)
        async def play(e: Opened) -> Closed:
            await slow(e.key)
            return Closed(e.key)

    async def scene(sim: Sim) -> None:
        started = sim.clock.now_ms()
        sim.delay(slow, "2s")
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.outcome("a") == "Closed"
        assert sim.clock.now_ms() - started == 2000
        sim.delay(slow, "5s")
        await sim.emit(Opened("b"))
        await sim.settle()
        assert sim.calls(slow) == 1 + 2 * 5, "two attempts of the step in each of the handler's five"
        assert sim.verdict("b").status == "stuck"

    played(scene, one(handler))


def test_real_input_and_output_is_refused_by_name() -> None:
    @step
    async def call_out(key: str) -> None:
        await asyncio.open_connection("localhost", 80)

    def handler(stage: Service) -> None:
        @stage.on(Opened)
        async def play(e: Opened) -> None:
            await call_out(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        await sim.settle()
        assert "create_connection was called in a simulated world" in str(sim.verdict("a"))

    played(scene, one(handler))


def test_a_world_that_never_rests_is_named() -> None:
    @step
    async def hang(key: str) -> None:
        await asyncio.get_running_loop().create_future()

    def handler(stage: Service) -> None:
        @stage.on(Opened)
        async def play(e: Opened) -> None:
            await hang(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        with pytest.raises(AssertionError, match=r"does not come to rest: stage\.play"):
            await sim.settle()

    played(scene, one(handler))


def test_a_failing_point_of_every_crash_is_named() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.world.kills == 0, "this scenario does not like crashes"

    with pytest.raises(AssertionError, match="with a crash before batch 1 of"):
        asyncio.run(Sim(one(acting)).every_crash(scenario))


async def busy(sim: Sim) -> str:
    """A bit of everything that could depend on chance."""
    sim.fail(act, ConnectionError("no line"), times=2)
    for n in range(5):
        await sim.emit(Opened(f"k{n % 3}", n))
    await sim.restart()
    await sim.advance("25h")
    return sim.trace_hash


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    app = one(approving)
    assert played(busy, app, seed=3) == played(busy, app, seed=3)
    assert played(busy, app, seed=3) != played(busy, app, seed=4)


def test_the_same_seed_gives_the_same_run_in_another_process() -> None:
    code = "import tests.scenario.test_sim as t; print(t.played(t.busy, t.one(t.approving), seed=3))"
    root = Path(__file__).resolve().parents[2]
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == 32
