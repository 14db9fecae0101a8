"""Commits of simulated runs of the real engine, held against the rules of the model of the writer."""

import asyncio
from typing import Any

import pytest
from tests.models.commit_trace import Trace, broken_rules
from tests.scenario.attack_scenes import Begun as Attacked
from tests.scenario.attack_scenes import one as attack
from tests.scenario.attack_scenes import orphan, refused
from tests.scenario.test_engine_crashes import SCENES, Scene, app_of

from onstage.core.commit import RefusedBecause
from onstage.errors import StepFailed
from onstage.ports.store import ExecutionView, Reader
from onstage.testing import Sim

PLANTED_IN = (
    "a chain of hops",
    "a fan-out",
    "events in the middle",
    "waits that are answered",
    "a wait that times out",
)


async def executions(reader: Reader) -> list[ExecutionView]:
    processes = await reader.processes(limit=1000)
    return [view for row in processes for view in await reader.executions(process=row.id, limit=10_000)]


def judged(scene: Scene, trace: Trace, kills: set[tuple[int, str]] | None = None) -> list[str]:
    """Play a scene, with the node dying at these boundaries, and hold its commits against the rules."""

    async def main() -> list[str]:
        async with Sim(app_of(scene), seed=3) as sim:
            sim.world.kills_at = kills or set()
            await scene.play(sim)
            return broken_rules(trace.lives, sim.read(executions))

    return asyncio.run(main())


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_an_undisturbed_run_obeys_the_rules(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(monkeypatch)
    assert judged(scene, trace) == []
    (life,) = trace.lives
    assert len(life.written) == len(life.appended) > 1
    assert not life.refused
    assert any(after for commit in life.written for after in commit.after), "nothing was fused or followed"


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
@pytest.mark.parametrize("phase", ["before", "written", "after"])
def test_a_run_with_two_crashes_obeys_the_rules(scene: Scene, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(monkeypatch)
    assert judged(scene, trace, {(2, phase), (4, phase)}) == []
    assert sum(len(life.written) for life in trace.lives) > 1


@pytest.mark.parametrize("name", PLANTED_IN)
def test_whatever_commit_is_refused_its_descendants_are_felled_and_the_work_is_done(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted, felled = 0, 0
    for position in range(1, 100):
        with monkeypatch.context() as patch:
            trace = Trace(patch, plant=position)
            assert judged(SCENES[name], trace) == [], f"with commit {position} refused"
        planted += trace.planted is not None
        felled += list(trace.lives[0].refused.values()).count(RefusedBecause.FELLED)
        if position > len(trace.lives[0].appended):
            break
    assert planted >= 2
    if name == "a chain of hops":
        assert felled >= 3


@pytest.mark.parametrize("transaction", [refused, orphan])
def test_a_transaction_that_fails_is_refused_alone(transaction: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(e: Attacked) -> None:
        with pytest.raises(StepFailed):
            await transaction(e.key)

    async def main() -> list[str]:
        async with Sim(attack(handler), seed=3) as sim:
            for n in range(3):
                await sim.emit(Attacked("a", n))
            await sim.settle()
            return broken_rules(trace.lives, sim.read(executions))

    trace = Trace(monkeypatch)
    assert asyncio.run(main()) == []
    assert list(trace.lives[0].refused.values()) == [RefusedBecause.USER] * 3
