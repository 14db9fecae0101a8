"""History, replays, retirements and lifted events, with a crash at every commit."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.sim_checks import check_accounts, everything

from onstage import App, Retry, Service, event, step, wait
from onstage.core.commit import event_of
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.runtime import history, subscriptions
from onstage.testing import Sim
from onstage.versions import upcast


@event("shop.ordered", key="id")
@dataclass(frozen=True)
class Ordered:
    id: str


@event("shop.approved", key="id")
@dataclass(frozen=True)
class Approved:
    id: str


@event("report.counted", key="id")
@dataclass(frozen=True)
class Counted:
    id: str
    by: str = ""


@step
async def look_up(id: str) -> str:
    return f"by {id}"


def shop() -> Service:
    """Lets "open" orders wait for their approval, and ends all others."""
    service = Service("shop")

    @service.on(Ordered)
    async def take(e: Ordered) -> None:
        if e.id.startswith("open"):
            await wait(Approved)

    return service


def report(**options: Any) -> Service:
    """Counts orders, with a step in between."""
    service = Service("report")

    @service.on(Ordered, **options)
    async def count(e: Ordered) -> Counted:
        return Counted(e.id, await look_up(e.id))

    return service


BEFORE, AFTER = App(shop()), App(shop(), report(start="earliest"))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages, and several rounds of them."""
    monkeypatch.setattr(history, "PAGE", 2)
    monkeypatch.setattr(history, "HISTORY_RUNNING_MAX", 3)
    monkeypatch.setattr(subscriptions, "PAGE", 2)


def handled(sim: Sim, handler: str) -> Counter[str]:
    """How often the handler has an execution for each key, done or not."""
    _, executions, events = sim.read(everything)
    keys = {found.n: found.key or "" for found in events}
    return Counter(keys[event_of(view.id)] for view in executions if view.handler == handler)


def check_open_and_done(sim: Sim) -> None:
    """The accounts agree, and only what waits is open."""
    check_accounts(sim)
    _, executions, _ = sim.read(everything)
    for view in executions:
        assert view.status in (Status.DONE, Status.WAITING), view


async def ordered(sim: Sim, *names: str) -> None:
    for name in names:
        await sim.emit(Ordered(name), id=f"order {name}")
    await sim.settle()


async def history_story(sim: Sim) -> None:
    await ordered(sim, "a", "b", "open", "c", "a2")
    await sim.deploy(AFTER)
    await ordered(sim, "new", "a")  # while history is delivered, one of them with a key that has some
    names = ["a", "b", "open", "c", "a2", "new"]
    assert handled(sim, "report.count") == Counter(names)
    counted = [event.id for event in sim.emitted(Counted)]
    assert Counter(counted) == Counter(names)
    check_open_and_done(sim)


async def reopened_story(sim: Sim) -> None:
    """An order that is open when the new handler comes: its process waits for that one too."""
    await ordered(sim, "open")
    await sim.deploy(AFTER)
    await sim.settle()
    _, executions, events = sim.read(everything)
    (counted,) = [found for found in events if found.type == "report.counted"]
    assert {view.process for view in executions} == {counted.process}
    await sim.emit(Approved("open"), id="approval", process=await _process(sim))
    await sim.settle()
    assert sim.verdict("open").is_final
    check_open_and_done(sim)


async def _process(sim: Sim) -> str:
    (row,) = sim.read(lambda reader: reader.processes(key="open"))
    return row.wire_id


async def replay_story(sim: Sim) -> None:
    await ordered(sim, "a", "b", "c")
    told = await sim.manage("replay", "report.count", after=1)
    assert told["events"] == 2
    await ordered(sim, "d")
    replays = {view.handler for view in sim.read(everything)[1]} - {"shop.take", "report.count"}
    for name in replays:  # an operator whose node died before the answer may have asked twice
        assert handled(sim, name) == Counter("bc")
    assert 1 <= len(replays) <= 2
    assert handled(sim, "report.count") == Counter("abcd")
    assert len(sim.emitted(Counted)) == 4 + 2 * len(replays)
    check_open_and_done(sim)


def lingering() -> Service:
    """A handler that is to go."""
    service = Service("old")

    @service.on(Ordered, retry=Retry(1), waits=[Approved])
    async def linger(e: Ordered) -> None:
        if e.id.startswith("fails"):
            raise ConnectionError
        await wait(Approved)

    return service


async def retire_story(sim: Sim) -> None:
    await ordered(sim, "a", "fails", "b", "c", "d")
    await sim.deploy(BEFORE)
    await sim.settle()
    for name in ("a", "fails"):
        assert "no live node has this handler" in sim.read(lambda r, name=name: _now(sim, r, name))
    await sim.manage("retire", "old.linger")
    processes, executions, _ = sim.read(everything)
    assert [row for row in processes if row.open] == []
    assert Counter(view.status for view in executions if view.handler == "old.linger") == {Status.WRITTEN_OFF: 5}
    records = sim.read(subscriptions.retirements)
    assert [record.written_off for record in records.values()] <= [5]
    check_accounts(sim)


async def _now(sim: Sim, reader: Any, key: str) -> str:
    from onstage.runtime.watch import verdict_of

    (row,) = await reader.processes(key=key)
    return str(await verdict_of(reader, row.id, live=sim.world.node.live))


def priced(version: int) -> App:
    """The price in units, then in cents; a handler that waits for it, and one that fails until the new version."""
    fields: dict[str, Any] = {"id": str, **({"units": int} if version == 1 else {"cents": int})}
    priced_class = event("shop.priced", key="id", version=version)(
        dataclass(frozen=True)(type("Priced", (), {"__annotations__": fields}))
    )
    if version == 2:
        upcast(priced_class, 1, 2)(lambda old: {"id": old["id"], "cents": old["units"] * 100})
    service = Service("shop")

    async def fails(e: Any) -> Counted:
        if version == 1:
            raise ConnectionError
        return Counted(e.id, f"handler {e.cents}")

    async def waits(e: Ordered) -> Counted:
        found = await wait(priced_class)
        await wait(Approved)
        return Counted(e.id, f"mail {found.cents}")

    service.on(priced_class, retry=Retry(1), name="fails")(fails)
    service.on(Ordered, waits=[priced_class, Approved], name="waits")(waits)
    app = App(service)
    PRICED[app] = priced_class
    return app


PRICED: dict[App, Any] = {}
OLD, NEW = priced(1), priced(2)


async def upcast_story(sim: Sim) -> None:
    process = await sim.emit(Ordered("o1"), id="o1")
    await sim.emit(PRICED[OLD]("o1", 5), id="price", process=process)
    await sim.settle()
    await sim.deploy(NEW)
    with suppress(UsageError):  # whose node died before it answered asks again, and it is done by then
        await sim.operate("retry", "o1")
    await sim.emit(Approved("o1"), id="approval", process=process)
    await sim.settle()
    assert sorted(event.by for event in sim.emitted(Counted)) == ["handler 500", "mail 500"]
    check_accounts(sim)


def crash_everywhere(app: App, story: Callable[[Sim], Any]) -> None:
    """Play it once undisturbed, and once for each point where the node can die."""

    async def play() -> int:
        return await Sim(app, seed=3).every_crash(story)

    assert asyncio.run(play()) >= 8


def test_history_is_whole_wherever_the_node_dies() -> None:
    crash_everywhere(BEFORE, history_story)


def test_an_open_process_waits_for_its_new_handler_wherever_the_node_dies() -> None:
    crash_everywhere(BEFORE, reopened_story)


def test_a_replay_is_whole_wherever_the_node_dies() -> None:
    crash_everywhere(App(shop(), report()), replay_story)


def test_a_write_off_is_whole_wherever_the_node_dies() -> None:
    crash_everywhere(App(shop(), lingering()), retire_story)


def test_what_is_lifted_is_the_same_wherever_the_node_dies() -> None:
    crash_everywhere(OLD, upcast_story)
