"""Forks: a new run takes over the journal of an ended or stuck one up to a step, with a crash at every commit."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.sim_checks import check_settled, everything

from onstage import App, Reject, Request, Service, ask, emit, event, gather, idempotency_key, patched, start, step, wait
from onstage.contracts.handler import Handler
from onstage.durable import continue_as_new
from onstage.errors import AskFailed, DuplicateId, UsageError
from onstage.events.receipt import Status
from onstage.runtime import dispatcher
from onstage.state import state
from onstage.testing import Sim


@event("forge.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    key: str


@event("forge.said", key="key")
@dataclass(frozen=True)
class Said(Request[int]):
    key: str


@event("forge.note", key="key")
@dataclass(frozen=True)
class Note:
    key: str


@event("forge.go", key="key")
@dataclass(frozen=True)
class Go:
    key: str


effects: list[tuple[str, str]] = []
broken: set[str] = set()


@pytest.fixture(autouse=True)
def _clean() -> None:
    effects.clear()
    broken.clear()


@pytest.fixture(params=[512, 1], ids=["fused", "one by one"])
def fusion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", request.param)


def unmade(result: str, name: str) -> None:
    effects.append((f"unmake {name}", idempotency_key()))


@step(undo=unmade)
async def make(name: str) -> str:
    effects.append((f"make {name}", idempotency_key()))
    if name in broken:
        raise ValueError(f"no {name}")
    return name


def app_of() -> App:
    forge = Service("forge")

    @forge.answers
    async def price(q: Price) -> int:
        effects.append(("price", q.key))
        return len(q.key)

    @forge.workflow
    async def child(name: str) -> str:
        effects.append(("child", name))
        return name

    @forge.workflow(emits=[Note], retry=None)
    async def smith(name: str) -> str:
        first = await make(f"first of {name}")
        state["stage"] = "asked"
        cost = await ask(Price(first))
        await emit(Note(name))
        born = await start(child, f"child of {name}")
        second = await make(f"second of {name}")
        if "reject" in broken:
            raise Reject("not good enough")
        return f"{second}, {born}, {cost}"

    @forge.on(Note)
    async def noted(e: Note) -> None:
        effects.append(("note", e.key))

    return App(forge)


def named(app: App, name: str) -> Handler[Any, Any]:
    return next(each for service in app.services for each in service.handlers if each.full_name.endswith(f".{name}"))


def times(what: str) -> int:
    return sum(name == what for name, _ in effects)


def keys(what: str) -> list[str]:
    return [key for name, key in effects if name == what]


async def stuck(sim: Sim, app: App) -> str:
    """A run of `smith` whose second step has failed for good."""
    effects.clear()
    broken.clear()
    broken.add("second of a")
    process = await sim.start(named(app, "smith"), "a", id="a")
    await sim.settle()
    broken.clear()
    return process


async def drop(sim: Sim, process: str) -> None:
    """Drop what is set aside; whoever lost the answer to that in a crash is told that it was."""
    told = ""
    try:
        await sim.operate("drop", process)
    except UsageError as error:
        told = str(error)
    assert not told or (sim.world.kills and "is dropped" in told), told


def status_of(sim: Sim, process: str) -> Status:
    _, executions, _ = sim.read(everything)
    number = int(process.rpartition("-")[2])
    return next(Status(view.status) for view in executions if view.id >> 16 == number)


@pytest.mark.usefixtures("fusion")
def test_a_fork_does_the_rest_once_and_nothing_again_wherever_it_crashes() -> None:
    app = app_of()

    async def scene(sim: Sim) -> None:
        process = await stuck(sim, app)
        fork = await sim.fork(process, "make#1", id="again")
        assert await sim.fork(process, "make#1", id="again") == fork, "the same fork"
        assert fork != process
        await sim.settle()
        assert sim.read(lambda reader: reader.answer(int(fork.rpartition("-")[2]))) is None, "its lane is held"
        assert status_of(sim, process) is Status.PARKED, "the original stays as it was"
        await drop(sim, process)
        await sim.settle()
        assert sim.result(fork) == "second of a, child of a, 10"
        check_settled(sim)
        assert (times("child"), times("note"), times("price")) == (1, 1, 1) or sim.world.kills
        assert len(set(keys("make first of a"))) == 1, "the step that was taken over"
        assert len(set(keys("make second of a"))) == 2, "what is done anew has a new key"
        _, _, events = sim.read(everything)
        assert [each.type for each in events].count("onstage.start/forge.child") == 1
        assert [each.type for each in events].count("forge.price") == 1
        assert [each.type for each in events].count("forge.note") == 1

    points = asyncio.run(Sim(app, seed=1).every_crash(scene))
    assert points >= 8


def test_a_fork_that_rejects_undoes_what_it_took_over_under_the_key_of_the_original() -> None:
    app = app_of()

    async def scene(sim: Sim) -> None:
        process = await stuck(sim, app)
        broken.add("reject")
        fork = await sim.fork(process, "make#1", id="again")
        await drop(sim, process)
        await sim.settle()
        with pytest.raises(AskFailed, match="not good enough"):
            sim.result(fork)
        number = process
        assert set(keys("unmake first of a")) == {f"{number}/forge.smith/undo/make#0"}
        assert set(keys("unmake second of a")) == {f"{fork}/forge.smith/undo/make#1"}
        with pytest.raises(UsageError, match=r"was undone since[\s\S]*fork from"):
            await sim.fork(fork, "make#1")
        check_settled(sim)

    assert asyncio.run(Sim(app, seed=2).every_crash(scene)) >= 8


def test_an_original_that_was_forked_is_not_retried_or_cancelled() -> None:
    app = app_of()

    async def story() -> None:
        async with Sim(app, seed=3) as sim:
            process = await stuck(sim, app)
            fork = await sim.fork(process, "end")
            with pytest.raises(UsageError, match=rf"{fork} was forked from it[\s\S]*dead drop"):
                await sim.control("cancel", process)
            with pytest.raises(UsageError, match="cannot be retried"):
                await sim.operate("retry", process)
            await sim.operate("drop", process)
            await sim.settle()
            assert sim.result(fork) == "second of a, child of a, 10"

    asyncio.run(story())


def test_a_finished_run_is_forked_by_other_code_and_its_own_result_stays() -> None:
    def version(new: bool) -> App:
        forge = Service("forge")

        @forge.workflow
        async def smith(name: str) -> str:
            first = await make(name)
            if not new:
                return f"{first} {await make('old')}"
            is_new = patched("words")
            return f"{first} {await make(f'{name} {is_new}')}"

        return App(forge)

    async def story() -> None:
        async with Sim(version(new=False), seed=4) as sim:
            process = await sim.start(named(version(new=False), "smith"), "a", id="a")
            await sim.settle()
            await sim.deploy(version(new=True))
            fork = await sim.fork(process, "make#1")
            await sim.settle()
            assert sim.result(process) == "a old"
            assert sim.result(fork) == "a a True"
            assert times("make a") == 1
            again = await sim.fork(fork, "make#1")
            await sim.settle()
            assert sim.result(again) == "a a True"
            assert (times("make a"), times("make a True")) == (1, 2)
            diverging = await sim.fork(process, "end")
            await sim.settle()
            assert status_of(sim, diverging) is Status.DIVERGED, "the old second step was taken over"

    asyncio.run(story())


def test_what_cannot_be_forked_is_refused_with_what_to_do() -> None:
    forge = Service("forge")

    @forge.answers
    async def price(q: Price) -> int:
        await wait(Go)
        return 1

    @forge.workflow(retry=None)
    async def wide(name: str) -> str:
        async def asks() -> int:
            return await ask(Price(name))

        async def makes() -> str:
            await wait(Go)
            return await make(name)

        return f"{await gather(asks(), makes())}"

    app = App(forge)

    async def story() -> None:
        async with Sim(app, seed=5) as sim:
            process = await sim.start(wide, "a", id="a")
            await sim.settle()
            with pytest.raises(UsageError, match=r"is waiting[\s\S]*cancel it"):
                await sim.fork(process, "make")

    asyncio.run(story())


def test_an_open_request_before_the_step_is_not_asked_twice() -> None:
    forge = Service("forge")

    @forge.answers
    async def said(q: Said) -> int:
        await wait(Go)
        return 1

    @forge.workflow
    async def wide(name: str) -> str:
        async def asks() -> int:
            return await ask(Said(name))

        async def makes() -> str:
            return await make(name)

        return f"{await gather(asks(), makes())}"

    app = App(forge)

    async def story() -> None:
        async with Sim(app, seed=6) as sim:
            process = await sim.start(wide, "a", id="a")
            await sim.settle()
            await sim.control("terminate", process)
            await sim.settle()
            with pytest.raises(UsageError, match=r"was asked before[\s\S]*fork from gather#0/0/ask forge.said#0"):
                await sim.fork(process, "make")
            with pytest.raises(UsageError, match=r"no such call: it has gather#0/0/ask forge.said"):
                await sim.fork(process, "mak")
            fork = await sim.fork(process, "gather")
            await sim.settle()
            await sim.emit(Go("h"), process=process)  # the first one to be asked holds the lane of its key
            await sim.settle()
            await sim.emit(Go("g"), process=fork)
            await sim.settle()
            assert sim.result(fork) == "(1, 'a')"
            _, _, events = sim.read(everything)
            asked = next(each.n for each in events if each.type == "forge.said")
            with pytest.raises(UsageError, match=r"no workflow[\s\S]*dead retry"):
                await sim.fork(sim.world.node.numbers.identity.wire(asked), "end")
            with pytest.raises(DuplicateId):
                await sim.fork(process, "gather", id="a")

    asyncio.run(story())


def test_rounds_of_a_workflow_that_began_anew_are_taken_over_with_their_undo() -> None:
    forge = Service("forge")

    @forge.workflow(retry=None)
    async def rounds(n: int) -> str:
        await make(f"round {n}")
        if n < 2:
            continue_as_new(n + 1)
        await make("last")
        if "reject" in broken:
            raise Reject("no")
        return "well"

    async def story() -> None:
        async with Sim(App(forge), seed=7) as sim:
            broken.add("last")
            process = await sim.start(rounds, 0, id="a")
            await sim.settle()
            broken.clear()
            broken.add("reject")
            fork = await sim.fork(process, "end", id="f")
            await sim.operate("drop", process)
            await sim.settle()
            assert status_of(sim, fork) is Status.REJECTED
            made = [name for name, _ in effects]
            assert made[-4:] == ["unmake last", "unmake round 2", "unmake round 1", "unmake round 0"]
            assert [key.partition("/")[0] for name, key in effects[-4:]] == [fork, process, process, process]
            check_settled(sim)

    asyncio.run(story())
