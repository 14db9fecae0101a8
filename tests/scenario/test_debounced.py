"""Debounce in simulated worlds: one run for a burst of events of a key, at every crash too."""

import asyncio
from typing import Any

import pytest
from tests.scenario.flow_scenes import Edited, Saved, played
from tests.scenario.sim_checks import check_settled

from onstage import App, Service, step
from onstage.events.receipt import Status
from onstage.testing import Sim

ran: list[tuple[float, str, int]] = []


@step
async def save(page: str, n: int) -> None:
    ran.append((round(asyncio.get_running_loop().time(), 3), page, n))


@pytest.fixture(autouse=True)
def _clean() -> None:
    ran.clear()


def pages(**options: Any) -> App:
    service = Service("pages")

    @service.on(Edited, **{"debounce": "5s"} | options)
    async def keep(e: Edited) -> Saved:
        await save(e.page, e.n)
        return Saved(e.page, e.n)

    return App(service)


def statuses(sim: Sim) -> list[str]:
    async def read(reader: Any) -> list[str]:
        found = [view for row in await reader.processes() for view in await reader.executions(process=row.id)]
        return [Status(view.status).label for view in sorted(found, key=lambda view: view.id)]

    return sim.read(read)


def test_it_runs_once_so_long_after_the_last_event_and_with_that() -> None:
    async def scene(sim: Sim) -> None:
        for n in range(4):
            await sim.emit(Edited("a", n))
            await sim.advance("3s")
        await sim.emit(Edited("b", 7))
        await sim.advance("1m")
        assert ran == [(14.0, "a", 3), (17.0, "b", 7)]
        assert statuses(sim) == ["skipped", "skipped", "skipped", "done", "done"]
        assert sim.emitted(Saved) == [Saved("a", 3), Saved("b", 7)]
        check_settled(sim)

    played(pages(), scene)


def test_a_skipped_event_says_what_came_after_it() -> None:
    async def scene(sim: Sim) -> None:
        first = await sim.emit(Edited("a", 0))
        await sim.emit(Edited("a", 1))
        await sim.settle()

        async def reason(reader: Any) -> str:
            rows = {row.wire_id: row.id for row in await reader.processes()}
            (view,) = await reader.executions(process=rows[first])
            return str(view.error)

        assert sim.read(reason).startswith("debounced: event ")
        assert "came after it" in sim.read(reason)

    played(pages(), scene)


def test_a_stream_of_events_is_let_through_at_the_latest_after_max_wait() -> None:
    async def scene(sim: Sim) -> None:
        for n in range(30):
            await sim.emit(Edited("a", n))
            await sim.advance("1s")
        await sim.advance("1m")
        assert [at for at, _, _ in ran] == [10.0, 20.0, 30.0]
        assert [n for _, _, n in ran] == [9, 19, 29] or [n for _, _, n in ran] == [10, 20, 29]
        check_settled(sim)

    played(pages(max_wait="10s"), scene)


def test_without_max_wait_a_stream_of_events_runs_once_it_has_ended() -> None:
    async def scene(sim: Sim) -> None:
        for n in range(30):
            await sim.emit(Edited("a", n))
            await sim.advance("1s")
        assert ran == []
        assert len(sim.world.node.open) == 1
        await sim.advance("1m")
        assert ran == [(34.0, "a", 29)]

    played(pages(), scene)


@pytest.mark.parametrize("options", [{}, {"max_wait": "7s"}])
def test_a_restart_in_a_burst_changes_nothing(options: dict[str, Any]) -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Edited("a", 0))
        await sim.advance("4s")
        await sim.emit(Edited("a", 1))
        await sim.restart()
        await sim.advance("2s")
        assert ran == []
        await sim.restart()
        await sim.advance("1m")
        assert ran == [(7.0 if options else 9.0, "a", 1)]
        check_settled(sim)

    played(pages(**options), scene)


def test_the_last_event_of_a_burst_runs_at_every_crash() -> None:
    async def scenario(sim: Sim) -> None:
        ran.clear()
        for n in range(3):
            await sim.emit(Edited("a", n), id=str(n))
            await sim.advance("1s")
        await sim.advance("1m")
        assert {n for _, _, n in ran} == {2}
        assert sim.emitted(Saved) == [Saved("a", 2)]
        check_settled(sim)

    for options in ({}, {"max_wait": "1m"}):
        assert asyncio.run(Sim(pages(**options)).every_crash(scenario)) >= 8


def test_events_that_come_while_a_burst_runs_make_another_one() -> None:
    async def scene(sim: Sim) -> None:
        sim.delay(save, "20s")
        await sim.emit(Edited("a", 0))
        await sim.advance("6s")
        await sim.emit(Edited("a", 1))
        await sim.emit(Edited("a", 2))
        await sim.advance("1m")
        assert [n for _, _, n in ran] == [0, 2]
        check_settled(sim)

    played(pages(), scene)
