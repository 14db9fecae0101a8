"""Commits of simulated runs of the real engine, held against the rules of the model of the writer."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from tests.models.commit_trace import Trace, broken_rules
from tests.scenario.attack_scenes import Begun as Attacked
from tests.scenario.attack_scenes import one as attack
from tests.scenario.attack_scenes import orphan, refused
from tests.scenario.test_engine_crashes import SCENES, Scene, app_of

from onstage.core.commit import Commit, RefusedBecause
from onstage.errors import StepFailed
from onstage.ports.store import ExecutionView, Reader
from onstage.runtime.frame import Frame
from onstage.stores.batch import Batch
from onstage.testing import Sim


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


@pytest.mark.parametrize("name", SCENES)
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
        assert felled >= 2


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


# The checker itself: engines that lack a rule, and traces that were tampered with, must not pass.


def without_barrier(patch: pytest.MonkeyPatch) -> None:
    async def barrier(frame: Frame) -> None:
        """Waits for nothing."""

    patch.setattr(Frame, "barrier", barrier)


def without_felling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Batch, "_descends_from_refused", lambda *_: False)


def without_felling_and_conflicts(patch: pytest.MonkeyPatch) -> None:
    def fits(batch: Batch, commit: Commit) -> None:
        """Finds no conflict."""
        assert batch._row(commit.execution) is not None  # noqa: SLF001

    without_felling(patch)
    patch.setattr(Batch, "_conflict", fits)


@pytest.mark.parametrize(
    ("name", "leave_out", "plant", "found"),
    [
        ("an undoable step and a transaction", without_barrier, 0, "an effect after"),
        ("a chain of hops", without_felling, 2, "refused for another reason"),
        ("events in the middle", without_felling_and_conflicts, 3, "an orphan"),
        ("a rejection", without_felling_and_conflicts, 9, "entries on disk"),
    ],
)
def test_an_engine_without_a_rule_is_found(
    name: str, leave_out: Any, plant: int, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out(monkeypatch)
    trace = Trace(monkeypatch, plant=plant)
    rules: list[str] = []
    with suppress(AssertionError):  # the scene may notice as well, or not end
        rules = judged(SCENES[name], trace)
    rules += broken_rules(trace.lives, [])
    assert any(found in what for what in rules), rules


def test_a_trace_that_was_tampered_with_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(monkeypatch)
    assert judged(SCENES["waits that are answered"], trace) == []
    (life,) = trace.lives
    whole = list(life.written)
    tampered = {
        "not written in the order": [whole[1], whole[0], *whole[2:]],
        "entries expected": [*whole[:3], *whole[4:]],
        "executions on disk": whole,
    }
    for found, written in tampered.items():
        life.written = written
        rules = broken_rules(trace.lives, [])
        assert any(found in what for what in rules), (found, rules)
    life.appended = whole[1:]
    assert any("not dense" in what for what in broken_rules(trace.lives, []))
