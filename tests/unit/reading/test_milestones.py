"""Milestones and deadlines on the command line: what is late is found, and everything timed is shown."""

import asyncio
import json
from typing import Any

from click.testing import CliRunner
from tests.scenario.played_scene import scene
from tests.scenario.watched_scenes import Approved, OrderPlaced, shop, silent

from onstage.cli.main import cli
from onstage.cli.milestone_lines import timed_lines
from onstage.reading.milestones import find_timed
from onstage.reading.store_file import looking_at
from onstage.testing import Sim
from onstage.testing.virtual_clock import START_MS

WAITING = "needs approval"


async def said(sim: Sim, *words: str) -> Any:
    called = [*words, "--store", f"sqlite:///{sim.world.path}", "-o", "json"]
    result = await asyncio.to_thread(CliRunner().invoke, cli, called)
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


async def states(sim: Sim, process: int) -> dict[str | None, str]:
    with looking_at(sim.world.path) as store:
        return {each.milestone: each.state for each in await find_timed(store, process)}


@scene
async def test_each_milestone_says_how_it_stands() -> None:
    async with Sim(silent) as sim:
        await sim.emit(OrderPlaced("o1", WAITING))
        await sim.settle()
        assert await states(sim, 1) == {"order-paid": "open", None: "open"}
        await sim.advance("61m")
        assert await states(sim, 1) == {"order-paid": "overdue", None: "open"}
        with looking_at(sim.world.path) as store:
            lines = list(timed_lines(await find_timed(store, 1), START_MS + 61 * 60_000))
        assert lines[0].endswith("UTC: overdue by 1m")
        assert lines[1].endswith("UTC: open, 59m left")
        await sim.emit(Approved("o1"))
        await sim.settle()
        assert await states(sim, 1) == {"order-paid": "late", None: "in time"}


@scene
async def test_what_the_deadline_ended_was_not_needed_any_more() -> None:
    async with Sim(silent) as sim:
        await sim.emit(OrderPlaced("o1", "ends dead"))
        await sim.advance("59m")
        await sim.emit(OrderPlaced("o2"))
        await sim.advance("3h")
        assert await states(sim, 1) == {"order-paid": "not needed", None: "late"}


@scene
async def test_what_is_overdue_is_found_and_shown() -> None:
    async with Sim(silent) as sim:
        await sim.emit(OrderPlaced("o1", WAITING))
        await sim.advance("61m")
        await sim.emit(OrderPlaced("o2"))
        await sim.settle()
        for words in (["--overdue"], ["--stuck"], ["--verdict", "stuck"]):
            (row,) = await said(sim, "ps", *words)
            assert (row["key"], row["verdict"]) == ("o1", "stuck")
            assert "order-paid is overdue since" in row["now"]
        assert [row["key"] for row in await said(sim, "ps", "--verdict", "completed")] == ["o2"]
        assert await said(sim, "ps", "--verdict", "completed", "--overdue") == []
        shown = await said(sim, "show", "o1")
        assert [each["state"] for each in shown["timed"]] == ["overdue", "open"]


@scene
async def test_processes_that_tell_changes_are_listed_only_if_one_asks_for_them() -> None:
    async with Sim(shop) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.settle()
        assert {row["type"] for row in await said(sim, "ps")} == {"order", "alert-sent"}
        assert len(await said(sim, "ps", "--type", "onstage.process.completed")) == 1


@scene
async def test_age_narrows_the_list() -> None:
    async with Sim(silent) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.settle()
        assert await said(sim, "ps", "--older", "1d") != []  # the world began long ago
        assert await said(sim, "ps", "--older", "20000d") == []


@scene
async def test_a_process_that_is_not_watched_has_no_times() -> None:
    async with Sim(silent) as sim:
        await sim.emit(Approved("o9"))
        await sim.settle()
        assert await states(sim, 1) == {}
