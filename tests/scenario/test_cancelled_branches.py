"""Cancelling executions that have branches, requests and children in branches, and handlers whose flow is controlled.

Every branch is told once, at its next durable call; the handler's own code by what comes out of the branch it awaits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.sim_checks import check_settled, everything

from onstage import App, Request, Service, ask, event, gather, race, sleep, spawn, start, step, wait
from onstage.durable import continue_as_new, scope, shield
from onstage.errors import AskFailed, Cancelled
from onstage.events.receipt import Status
from onstage.testing import Sim

effects: list[str] = []


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()


def unmade(result: str, name: str) -> None:
    effects.append(f"unmake {name}")


@step(undo=unmade)
async def make(name: str) -> str:
    effects.append(f"make {name}")
    return name


@step
async def note(name: str) -> str:
    effects.append(f"note {name}")
    return name


@event("branchy.left", key="key")
@dataclass(frozen=True)
class Left:
    key: str


@event("branchy.right", key="key")
@dataclass(frozen=True)
class Right:
    key: str


@event("branchy.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    key: str


def statuses(sim: Sim) -> list[Status]:
    _, executions, _ = sim.read(everything)
    return [Status(view.status) for view in executions]


def workflow(body: Callable[[str], Awaitable[Any]], **options: Any) -> tuple[App, Any]:
    house = Service("house")

    async def run(order: str) -> str:
        return str(await body(order))

    handler = house.workflow(waits=[Left, Right], **options)(run)
    return App(house), handler


async def is_cancelled(sim: Sim, process: str) -> None:
    await sim.settle()
    with pytest.raises(AskFailed, match="cancelled"):
        sim.result(process)
    assert set(statuses(sim)) == {Status.CANCELLED}, sim.history(process)
    assert sim.read(lambda reader: reader.notes("cancel")) == []
    check_settled(sim)


def once(names: list[str]) -> list[str]:
    """Without repetitions: a crash may let an effect happen again."""
    return list(dict.fromkeys(names))


def cancelled_in(handler: Any, *, pause_s: float = 1.0) -> Callable[[Sim], Awaitable[None]]:
    async def scene(sim: Sim) -> None:
        effects.clear()
        process = await sim.start(handler, "o", id="o")
        await sim.advance(pause_s)
        await sim.control("cancel", process)
        await is_cancelled(sim, process)

    return scene


def played(app: App, scene: Callable[[Sim], Awaitable[None]], seed: int = 5) -> None:
    async def story() -> None:
        async with Sim(app, seed=seed) as sim:
            await scene(sim)

    asyncio.run(story())


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


# --- asking and beginning anew ----------------------------------------------------------------------------


def test_a_gather_of_twenty_asks_gets_each_its_own_answer() -> None:
    house, shop = Service("house"), Service("shop")

    @shop.answers
    async def price(q: Price) -> int:
        await sleep(float(20 - int(q.key)))  # the last one is answered first
        return int(q.key) * 100

    async def twice(n: int) -> int:
        return await ask(Price(str(n))) + await ask(Price("0"))

    @house.workflow(asks=[Price])
    async def run(order: str) -> list[int]:
        own = await gather(*(ask(Price(str(n))) for n in range(20)))
        return [*own, *await gather(twice(1), twice(2))]

    async def scene(sim: Sim) -> None:
        process = await sim.start(run, "o", id="o")
        await sim.advance("2m")
        assert sim.result(process) == [*(n * 100 for n in range(20)), 100, 200]
        _, _, events = sim.read(everything)
        assert sum(each.type == "branchy.price" for each in events) == 24
        check_settled(sim)

    played(App(house, shop), scene)
    assert asyncio.run(Sim(App(house, shop), seed=3).every_crash(scene)) >= 20


def test_a_cancel_told_by_a_branch_is_not_told_again_after_beginning_anew() -> None:
    async def body(order: str) -> str:
        if order == "o":
            try:
                await gather(wait(Left), wait(Right))
            except Cancelled:
                continue_as_new("again")
        return await note(order)

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        process = await sim.start(run, "o", id="o")
        await sim.advance("1m")
        await sim.control("cancel", process)
        await sim.settle()
        assert sim.result(process) == "again"
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=4).every_crash(scene)) >= 4


def test_beginning_anew_waits_for_spawned_branches() -> None:
    async def beside() -> None:
        await sleep("1h")
        await note("beside")

    async def body(order: str) -> str:
        if order == "o":
            spawn(beside())
            continue_as_new("again")
        return await note(order)

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        effects.clear()
        process = await sim.start(run, "o", id="o")
        await sim.advance("2h")
        assert sim.result(process) == "again"
        assert once(effects) == ["note beside", "note again"]
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=4).every_crash(scene)) >= 4


# --- flow control -----------------------------------------------------------------------------------------


def test_a_paused_workflow_waits_and_can_be_cancelled_before_it_begins() -> None:
    async def body(order: str) -> str:
        return await note(order)

    app, run = workflow(body)

    async def scene(sim: Sim) -> None:
        await sim.pause("house.run")
        kept, off = await sim.start(run, "kept", id="k"), await sim.start(run, "off", id="f")
        await sim.advance("1h")
        assert effects == []
        assert "before it began" in await sim.control("cancel", off)
        await sim.resume("house.run")
        await sim.settle()
        assert sim.result(kept) == "kept"
        with pytest.raises(AskFailed, match="cancelled"):
            sim.result(off)
        assert effects == ["note kept"]
        check_settled(sim)

    played(app, scene)


def test_a_paused_service_answers_when_it_goes_on() -> None:
    house, shop = Service("house"), Service("shop", concurrency=1)

    @shop.answers
    async def price(q: Price) -> int:
        await note(q.key)
        return 1

    async def scene(sim: Sim) -> None:
        await sim.pause("shop")
        for key in ("a", "b"):
            await sim.ask(Price(key), id=key)
        await sim.advance("1h")
        assert effects == []
        await sim.resume("shop")
        await sim.settle()
        assert sorted(effects) == ["note a", "note b"]
        check_settled(sim)

    played(App(house, shop), scene)
