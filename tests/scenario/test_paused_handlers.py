"""Pauses in simulated worlds: nothing begins, nothing is lost, and a restart changes nothing."""

import asyncio

import pytest
from tests.scenario.flow_scenes import Many, Task, began, played, run_for, tasks, work
from tests.scenario.sim_checks import check_settled

from onstage import App, Service, sleep
from onstage.errors import UsageError
from onstage.testing import Sim


def test_a_paused_handler_begins_nothing_until_it_is_resumed_and_a_restart_changes_nothing() -> None:
    async def scene(sim: Sim) -> None:
        await sim.pause("flow.run_task")
        await sim.emit(Task("a"), id="a")
        await sim.settle()
        await sim.restart()
        await sim.emit(Task("b"), id="b")
        await sim.advance("1h")
        assert began == []
        verdict = sim.verdict("a")
        assert verdict.status == "waiting"
        assert "flow.run_task is paused since 2" in verdict.reasons[0]
        assert verdict.reasons[0].endswith("by the test")
        await sim.resume("flow.run_task")
        await sim.settle()
        assert [name for _, name in began] == ["a", "b"]
        check_settled(sim)

    played(tasks(), scene)


def test_what_runs_goes_on_while_its_handler_is_paused() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "a", 3))
        assert len(began) == 0 or len(began) <= 3
        await run_for(sim, 0.005)
        assert len(began) == 3
        await sim.pause("flow")
        await sim.emit(Task("later"))
        await run_for(sim, 5)
        assert len(began) == 3
        assert len(sim.world.node.dispatcher.running) == 0
        await sim.resume("flow")
        await sim.settle()
        assert len(began) == 4
        check_settled(sim)

    played(tasks(), scene)


def test_a_sleep_that_ends_during_a_pause_goes_on_after_it() -> None:
    service = Service("flow")

    @service.on(Task)
    async def run(e: Task) -> None:
        await sleep("1m")
        await work(e.id)

    async def scene(sim: Sim) -> None:
        await sim.emit(Task("a"))
        await sim.settle()
        await sim.pause("flow.run")
        await sim.advance("1h")
        assert began == []
        await sim.resume("flow.run")
        await sim.settle()
        assert len(began) == 1
        check_settled(sim)

    played(App(service), scene)


def test_a_pause_survives_every_crash() -> None:
    async def scenario(sim: Sim) -> None:
        began.clear()
        await sim.pause("flow.run_task")
        await sim.emit(Task("a"), id="a")
        await sim.settle()
        assert began == []
        try:
            await sim.resume("flow.run_task")
        except UsageError as error:
            assert "is not paused" in str(error)  # noqa: PT017  asked again after a crash that came behind it
        await sim.settle()
        assert {name for _, name in began} == {"a"}
        check_settled(sim)

    assert asyncio.run(Sim(tasks()).every_crash(scenario)) >= 6


def test_an_unknown_name_cannot_be_paused_and_nothing_else_resumed() -> None:
    async def scene(sim: Sim) -> None:
        with pytest.raises(UsageError, match=r"no handler or service flow\.nobody here"):
            await sim.pause("flow.nobody")
        with pytest.raises(UsageError, match=r"flow\.run_task is not paused"):
            await sim.resume("flow.run_task")

    played(tasks(), scene)
