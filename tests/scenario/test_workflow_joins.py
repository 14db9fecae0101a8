"""An event from outside finds the workflow whose id is its key, with a crash at every commit."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.sim_checks import check_settled, everything

from onstage import App, Process, Service, event, wait
from onstage.contracts.handler import Handler
from onstage.errors import AmbiguousProcess
from onstage.runtime import dispatcher
from onstage.testing import Sim


@event("join.approved", key="order")
@dataclass(frozen=True)
class Approved:
    order: str
    by: str = ""


@event("join.placed", key="order")
@dataclass(frozen=True)
class Placed:
    order: str


@event("join.shipped", key="order")
@dataclass(frozen=True)
class Shipped:
    order: str


@pytest.fixture(params=[512, 1], ids=["fused", "one by one"])
def fusion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", request.param)


def app_of() -> App:
    shop = Service("shop")

    @shop.workflow
    async def fulfil(order: str) -> str:
        first = await wait(Approved)
        second = await wait(Approved, timeout="1d")
        return f"{first.by} {second.by}"

    @shop.workflow
    async def other(order: str) -> str:
        return (await wait(Approved)).by

    @shop.on(Placed)
    async def ship(e: Placed) -> Shipped:
        return Shipped((await wait(Approved)).order)

    return App(shop, Process("sale", starts=Placed, done=Shipped, external=[Approved]))


def named(app: App, name: str) -> Handler[Any, Any]:
    return next(each for service in app.services for each in service.handlers if each.full_name == f"shop.{name}")


@pytest.mark.usefixtures("fusion")
def test_an_event_with_its_id_as_key_reaches_the_workflow_wherever_the_node_dies() -> None:
    app = app_of()

    async def scene(sim: Sim) -> None:
        early = await sim.emit(Approved("o1", "too early"), id="0")
        process = await sim.start(named(app, "fulfil"), "o1", id="o1")
        assert early != process
        assert await sim.emit(Approved("o2", "of another"), id="1") not in (early, process)
        assert await sim.emit(Approved("o1", "ann"), id="2") == process
        assert await sim.emit(Approved("o1", "ann"), id="2") == process, "a duplicate is the same event"
        await sim.restart()
        assert await sim.emit(Approved("o1", "bob"), id="3") == process
        await sim.settle()
        assert sim.result(process) == "ann bob"
        assert await sim.emit(Approved("o1", "too late"), id="4") != process
        await sim.settle()
        check_settled(sim)
        _, _, events = sim.read(everything)
        assert sum(each.type == "join.approved" for each in events) == 5

    assert asyncio.run(Sim(app, seed=1).every_crash(scene)) >= 8


def test_the_newest_open_run_takes_it_and_two_candidates_are_refused() -> None:
    app = app_of()

    async def story() -> None:
        async with Sim(app, seed=2) as sim:
            fulfil, other = named(app, "fulfil"), named(app, "other")
            process = await sim.start(fulfil, "o1", id="o1")
            second = await sim.start(other, "o1", id="o1")
            with pytest.raises(AmbiguousProcess, match=r"fits shop\.other and shop\.fulfil[\s\S]*process="):
                await sim.emit(Approved("o1", "ann"))
            await sim.emit(Approved("o1", "ann"), process=second)
            await sim.settle()
            assert sim.result(second) == "ann"
            assert await sim.emit(Approved("o1", "bob")) == process
            sale = await sim.emit(Placed("o1"))
            assert sale != process, "what begins a process joins no workflow"
            with pytest.raises(AmbiguousProcess, match=r"fits shop\.fulfil and a declared process"):
                await sim.emit(Approved("o1", "cid"))
            await sim.emit(Approved("o1", "cid"), process=process)
            await sim.settle()
            assert sim.result(process) == "bob cid"
            assert await sim.emit(Approved("o1")) == sale
            await sim.settle()
            check_settled(sim)

    asyncio.run(story())


def test_a_fork_has_the_key_of_its_original_and_is_the_newest() -> None:
    app = app_of()

    async def story() -> None:
        async with Sim(app, seed=3) as sim:
            process = await sim.start(named(app, "fulfil"), "o1", id="o1")
            await sim.settle()
            await sim.control("terminate", process)
            fork = await sim.fork(process, "end")
            for who in ("ann", "bob"):
                assert await sim.emit(Approved("o1", who)) == fork
            await sim.settle()
            assert sim.result(fork) == "ann bob"

    asyncio.run(story())
