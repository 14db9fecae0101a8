"""Children with an id: one run for ever, whoever starts it first, with a crash at every commit."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.sim_checks import check_settled, everything

from onstage import App, Service, event, gather, sleep, start, step, wait
from onstage.contracts.handler import Handler
from onstage.errors import AskFailed, DuplicateId
from onstage.events.receipt import Status
from onstage.runtime import dispatcher
from onstage.runtime.shared_starts import JOINED
from onstage.testing import Sim

CHILD = "onstage.start/house.child"


@event("house.go", key="key")
@dataclass(frozen=True)
class Go:
    key: str


effects: list[str] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    effects.clear()


@pytest.fixture(params=[512, 1], ids=["fused", "one by one"])
def fusion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", request.param)


@step
async def make(name: str) -> str:
    effects.append(name)
    return name


def app_of() -> App:
    house = Service("house")

    @house.workflow
    async def child(name: str) -> str:
        if name == "slow":
            await wait(Go)
        return f"{await make(name)}!"

    @house.workflow
    async def parent(order: list[str]) -> str:
        name, named = order
        try:
            return await start(child, name, id=named)
        except DuplicateId as error:
            await sleep("1m")  # and runs again: the refusal is recorded
            return str(error).partition("\n")[0]
        except AskFailed as error:
            return str(error)

    @house.workflow
    async def both(name: str) -> list[str]:
        return list(await gather(start(child, name, id=name), start(child, name, id=name)))

    @house.workflow(name="self")
    async def itself(name: str) -> str:
        return await start(itself, name, id=name)

    return App(house)


def named(app: App, name: str) -> Handler[Any, Any]:
    return next(each for service in app.services for each in service.handlers if each.full_name == f"house.{name}")


def starts(sim: Sim) -> int:
    _, _, events = sim.read(everything)
    return sum(each.type == CHILD for each in events)


def number(process: str) -> int:
    return int(process.rpartition("-")[2])


@pytest.mark.usefixtures("fusion")
def test_two_parents_have_one_child_wherever_the_node_dies() -> None:
    app = app_of()

    async def scene(sim: Sim) -> None:
        effects.clear()
        first = await sim.start(named(app, "parent"), ["a", "shared"], id="p1")
        second = await sim.start(named(app, "parent"), ["a", "shared"], id="p2")
        await sim.settle()
        outside = await sim.start(named(app, "child"), "a", id="shared")
        assert sim.result(first) == sim.result(second) == "a!"
        assert starts(sim) == 1
        assert set(effects) == {"a"}
        assert number(outside) not in (number(first), number(second))
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=1).every_crash(scene)) >= 6


@pytest.mark.usefixtures("fusion")
def test_whoever_joins_is_woken_by_an_answer_in_another_process_wherever_the_node_dies() -> None:
    app = app_of()

    async def scene(sim: Sim) -> None:
        effects.clear()
        child = await sim.start(named(app, "child"), "slow", id="shared")
        await sim.settle()
        parents = [await sim.start(named(app, "parent"), ["slow", "shared"], id=f"p{n}") for n in range(2)]
        await sim.settle()
        assert [sim.result(each) for each in parents] == [None, None]
        assert [sim.verdict(f"p{n}").status for n in range(2)] == ["waiting"] * 2
        await sim.emit(Go("g"), process=child, id="g")
        await sim.settle()
        assert [sim.result(each) for each in (child, *parents)] == ["slow!"] * 3
        assert starts(sim) == 1
        assert sim.read(lambda reader: reader.notes(JOINED)) == [], "no note is left behind"
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=2).every_crash(scene)) >= 12


def test_another_input_under_the_same_id_is_refused_the_same_way_on_replay() -> None:
    app = app_of()

    async def scene(sim: Sim) -> None:
        await sim.start(named(app, "child"), "a", id="shared")
        parent = await sim.start(named(app, "parent"), ["b", "shared"], id="p")
        await sim.settle()
        await sim.advance("2m")
        assert sim.result(parent) == "an event with id shared was admitted before, with another payload"
        assert starts(sim) == 1
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=3).every_crash(scene)) >= 6


def test_one_parent_may_name_it_twice_and_no_id_names_no_run() -> None:
    app = app_of()

    async def story() -> None:
        async with Sim(app, seed=4) as sim:
            both = await sim.start(named(app, "both"), "a", id="b")
            await sim.settle()
            assert sim.result(both) == ["a!", "a!"]
            assert starts(sim) == 1
            itself = await sim.start(named(app, "self"), "me", id="me")
            await sim.settle()
            assert sim.read(lambda reader: reader.answer(number(itself))) is None
            assert "house.self starts itself, as a child with id me" in sim.history("me")

    asyncio.run(story())


def test_a_cancel_ends_the_run_of_whoever_began_it_only() -> None:
    app = app_of()

    async def story() -> None:
        async with Sim(app, seed=5) as sim:
            first = await sim.start(named(app, "parent"), ["slow", "shared"], id="p1")
            await sim.settle()
            second = await sim.start(named(app, "parent"), ["slow", "shared"], id="p2")
            third = await sim.start(named(app, "parent"), ["slow", "shared"], id="p3")
            await sim.settle()
            await sim.control("cancel", second)
            await sim.settle()
            _, executions, _ = sim.read(everything)
            assert [Status(view.status) for view in executions].count(Status.CANCELLED) == 1, "only itself"
            await sim.restart()
            await sim.control("cancel", first)
            await sim.settle()
            for each in (first, second):
                with pytest.raises(AskFailed, match=r"house\.parent was cancelled"):
                    sim.result(each)
            assert sim.result(third) == "house.child was cancelled"
            check_settled(sim)
            await sim.restart()
            await sim.settle()
            assert sim.read(lambda reader: reader.notes(JOINED)) == [], "a start forgets who has ended"

    asyncio.run(story())
