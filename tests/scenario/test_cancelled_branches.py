"""Cancelling executions that have branches, requests and children in branches, and handlers whose flow is controlled.

Every branch is told once, at its next durable call; the handler's own code by what comes out of the branch it awaits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.scenario.cancel_scenes import (
    Left,
    Right,
    effects,
    is_cancelled,
    make,
    note,
    once,
    played,
    statuses,
    workflow,
)
from tests.scenario.sim_checks import check_settled

from onstage import App, Service, gather, race, sleep, spawn, start, wait
from onstage.durable import scope, shield
from onstage.errors import Cancelled
from onstage.events.receipt import Status
from onstage.testing import Sim


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()


def cancelled_in(handler: Any, *, pause_s: float = 1.0) -> Callable[[Sim], Awaitable[None]]:
    async def scene(sim: Sim) -> None:
        effects.clear()
        process = await sim.start(handler, "o", id="o")
        await sim.advance(pause_s)
        await sim.control("cancel", process)
        await is_cancelled(sim, process)

    return scene


# --- every branch is told ---------------------------------------------------------------------------------


async def hopeful(name: str, kind: type[Any]) -> None:
    await make(name)
    try:
        await wait(kind)
    except Cancelled:
        await note(f"told {name}")  # what is called after it works as ever
        raise


async def gathering(order: str) -> str:
    try:
        await gather(hopeful("a", Left), hopeful("b", Right))
    except Cancelled:
        await note("told all")
        raise
    return "never"


def test_a_cancel_tells_every_branch_of_a_gather_once_and_then_the_handler() -> None:
    app, run = workflow(gathering)
    played(app, cancelled_in(run))
    assert sorted(effects[:2]) == ["make a", "make b"]
    assert sorted(effects[2:4]) == ["note told a", "note told b"]
    assert effects[4] == "note told all"
    assert sorted(effects[5:]) == ["unmake a", "unmake b"]


def test_a_cancel_of_a_gather_survives_every_crash() -> None:
    app, run = workflow(gathering)

    async def scene(sim: Sim) -> None:
        await cancelled_in(run)(sim)
        told = once([what for what in effects if what.startswith("note")])
        assert sorted(told[:2]) == ["note told a", "note told b"]
        assert told[2:] == ["note told all"]

    assert asyncio.run(Sim(app, seed=6).every_crash(scene)) >= 6


def test_made_waits_of_a_gather_are_cancelled_as_well() -> None:
    async def body(order: str) -> str:
        await gather(wait(Left), wait(Right), sleep("9d"))
        return "never"

    app, run = workflow(body)
    played(app, cancelled_in(run))


def test_a_race_that_is_cancelled_raises_it() -> None:
    async def body(order: str) -> str:
        await race(wait(Left), hopeful("b", Right))
        return "never"

    app, run = workflow(body)
    played(app, cancelled_in(run))
    assert once(effects)[0] == "make b"
    assert effects[-1] == "unmake b"


def test_a_branch_that_goes_on_after_it_does_not_hide_it_from_the_others() -> None:
    async def stubborn() -> str:
        try:
            await wait(Left)
        except Cancelled:
            await note("stubborn")
        return "done"

    async def body(order: str) -> str:
        await gather(stubborn(), stubborn())
        await note("not reached")
        return "never"

    app, run = workflow(body)
    played(app, cancelled_in(run))
    assert effects == ["note stubborn", "note stubborn"]


def test_spawned_branches_end_with_a_cancel_and_their_steps_are_undone() -> None:
    async def body(order: str) -> str:
        spawn(hopeful("a", Left))
        async with scope("inner"):
            spawn(hopeful("b", Right))
            await make("c")
            await sleep("9d")
        return "never"

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        await cancelled_in(run)(sim)
        made = {what.removeprefix("make ") for what in effects if what.startswith("make ")}
        assert made == {what.removeprefix("unmake ") for what in effects if what.startswith("unmake ")} == set("abc")

    assert asyncio.run(Sim(app, seed=7).every_crash(scene)) >= 6


def test_children_in_branches_are_cancelled_with_their_parent() -> None:
    house = Service("house")

    @house.workflow
    async def child(order: str) -> str:
        await make(order)
        await sleep("9d")
        return order

    @house.workflow
    async def parent(order: str) -> str:
        spawn(start(child, "spawned"))
        await gather(start(child, "a"), start(child, "b"))
        return "never"

    async def scene(sim: Sim) -> None:
        await cancelled_in(parent)(sim)
        assert len(statuses(sim)) == 4
        assert {what for what in effects if what.startswith("unmake")} == {"unmake a", "unmake b", "unmake spawned"}

    assert asyncio.run(Sim(App(house), seed=8).every_crash(scene)) >= 6


# --- shield -----------------------------------------------------------------------------------------------


def test_a_shield_holds_a_cancel_back_in_its_branch_only() -> None:
    async def guarded() -> None:
        async with shield():
            await sleep("2h")
            await gather(note("inner"), note("other"))
            await note("guarded")
        await note("not reached")

    async def body(order: str) -> str:
        await gather(hopeful("a", Left), guarded())
        return "never"

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        effects.clear()
        process = await sim.start(run, "o", id="o")
        await sim.advance("1m")
        await sim.control("cancel", process)
        await sim.advance("1m")
        assert once(effects) == ["make a", "note told a"]
        await sim.advance("3h")
        assert "note guarded" in effects
        await is_cancelled(sim, process)
        assert "note not reached" not in effects

    assert asyncio.run(Sim(app, seed=9).every_crash(scene)) >= 4


def test_a_shielded_child_is_let_go_on() -> None:
    house = Service("house")

    @house.workflow
    async def child(order: str) -> str:
        await sleep("2h")
        return order

    async def guarded() -> str:
        async with shield():
            return await start(child, "guarded")

    @house.workflow(waits=[Left])
    async def parent(order: str) -> str:
        held = spawn(guarded())
        try:
            await wait(Left)
        except Cancelled:
            effects.append(await held)
            raise
        return "never"

    async def scene(sim: Sim) -> None:
        process = await sim.start(parent, "o", id="o")
        await sim.advance("1m")
        await sim.control("cancel", process)
        await sim.advance("3h")
        assert set(effects) == {"guarded"}
        assert sorted(statuses(sim)) == [Status.DONE, Status.CANCELLED]
        check_settled(sim)

    played(App(house), scene)
