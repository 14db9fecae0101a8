"""Batch handlers in simulated worlds: every event handled once, together, at every crash too."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.scenario.flow_scenes import Edited, Many, Saved, Task, played, run_for
from tests.scenario.sim_checks import check_accounts, check_settled

from onstage import App, Reject, Retry, Service, step
from onstage.events.receipt import Status
from onstage.testing import Sim

loaded: list[list[str]] = []
"""The ids of each batch that was written, in order."""

written: list[str] = []


@step(retry=Retry(2, first="1s"))
async def write(ids: list[str]) -> int:
    loaded.append(ids)
    return len(ids)


@pytest.fixture(autouse=True)
def _clean() -> None:
    loaded.clear()
    written.clear()


def loading(**options: Any) -> App:
    service = Service("store")

    @service.on(Many)
    async def many(e: Many) -> list[Task]:
        return [Task(f"{e.tenant}{n}") for n in range(e.count)]

    @service.on(Task, **{"batch": 10, "batch_wait": "1s", "retry": Retry(2, first="1s")} | options)
    async def load(events: list[Task]) -> Saved | None:
        await write([each.id for each in events])
        if any(each.tenant == "rejected" for each in events):
            raise Reject("not these")
        if any(each.tenant == "reporting" for each in events):
            return Saved(events[0].id, len(events))
        return None

    return App(service)


def statuses(sim: Sim) -> Counter[str]:
    async def read(reader: Any) -> Counter[str]:
        found = [view for row in await reader.processes() for view in await reader.executions(process=row.id)]
        return Counter(Status(view.status).label for view in found if view.handler == "store.load")

    return sim.read(read)


def test_events_are_handled_together_in_order_and_each_is_settled() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "a", 25))
        await sim.settle()
        assert [len(ids) for ids in loaded] == [10, 10]
        await sim.advance("1s")
        assert [name for ids in loaded for name in ids] == [f"a{n}" for n in range(25)]
        assert [len(ids) for ids in loaded] == [10, 10, 5]
        assert statuses(sim) == {"done": 25}
        check_settled(sim)

    played(loading(), scene)


def test_a_lone_event_is_a_batch_of_one_after_batch_wait() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Task("a"))
        await sim.advance("900ms")
        assert loaded == []
        await sim.advance("100ms")
        assert loaded == [["a"]]
        check_settled(sim)

    played(loading(), scene)


def test_no_event_is_left_out_and_none_is_handled_twice_at_every_crash() -> None:
    async def scenario(sim: Sim) -> None:
        loaded.clear()
        sim.fail(write, ConnectionError())
        for n in range(7):
            await sim.emit(Task(f"{n}", "reporting"), id=str(n))
        await sim.advance("1m")
        ids = [name for batch in loaded for name in batch]
        # A step whose result was lost in the crash runs again, and with the very same list.
        distinct = {tuple(batch) for batch in loaded}
        assert sorted(name for batch in distinct for name in batch) == sorted(set(ids)) == [str(n) for n in range(7)]
        assert sum(saved.n for saved in sim.emitted(Saved)) == 7
        assert statuses(sim) == {"done": 7}
        check_settled(sim)

    for size in (3, 7, 100):
        assert asyncio.run(Sim(loading(batch=size)).every_crash(scenario)) >= 8


def test_events_of_other_processes_are_settled_in_their_own() -> None:
    async def scene(sim: Sim) -> None:
        for name in ("a", "b", "c"):
            await sim.emit(Task(name))
        await sim.advance("1s")
        assert loaded == [["a", "b", "c"]]
        assert {sim.verdict(name).status for name in ("a", "b", "c")} == {"dead end"}
        check_settled(sim)

    played(loading(), scene)


def test_a_failing_batch_is_retried_as_a_whole_then_set_aside_as_a_whole() -> None:
    async def scene(sim: Sim) -> None:
        sim.fail(write, ConnectionError("no line"), times=4)
        for n in range(3):
            await sim.emit(Task(str(n)))
        await sim.advance("1m")
        assert loaded == []
        assert statuses(sim) == {"dead letter": 1, "ready": 2}
        assert {sim.verdict(str(n)).status for n in range(3)} == {"stuck"}
        assert "is ready behind a dead letter of process" in sim.verdict("2").reasons[0]
        await sim.emit(Task("next"))
        await sim.restart()
        await sim.advance("1m")
        assert loaded == []  # on_failure="block": what comes after waits
        assert statuses(sim) == {"dead letter": 1, "ready": 3}
        check_accounts(sim)
        assert await sim.operate("retry", "0") == 1
        await sim.advance("1m")
        assert loaded == [["0", "1", "2"], ["next"]]
        assert statuses(sim) == {"done": 4}
        check_settled(sim)

    played(loading(), scene)


@pytest.mark.parametrize("restarts", [False, True])
def test_dropping_the_dead_letter_of_a_batch_drops_the_batch(restarts: bool) -> None:
    async def scene(sim: Sim) -> None:
        sim.fail(write, ConnectionError("no line"), times=4)
        for n in range(3):
            await sim.emit(Task(str(n)))
        await sim.advance("1m")
        if restarts:
            await sim.restart()
        assert await sim.operate("drop", "0") == 1
        await sim.emit(Task("next"))
        await sim.advance("1m")
        assert statuses(sim) == {"dropped": 3, "done": 1}
        assert loaded == [["next"]]
        check_settled(sim)

    played(loading(), scene)


def test_a_rejected_batch_is_rejected_as_a_whole() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Task("a"))
        await sim.emit(Task("b", "rejected"))
        await sim.advance("1m")
        assert statuses(sim) == {"rejected": 2}
        check_settled(sim)

    played(loading(), scene)


def test_batches_run_one_after_another_and_take_what_came_meanwhile() -> None:
    async def scene(sim: Sim) -> None:
        sim.delay(write, "10s")
        for n in range(3):
            await sim.emit(Task(f"a{n}"))
        await run_for(sim, 2)
        for n in range(8):
            await sim.emit(Task(f"b{n}"))
            await run_for(sim, 0.5)
        await sim.advance("1m")
        assert [len(ids) for ids in loaded] == [3, 8]
        check_settled(sim)

    played(loading(), scene)


def test_a_restart_with_many_waiting_loses_none() -> None:
    async def scene(sim: Sim) -> None:
        sim.delay(write, "3s")
        await sim.emit(Many("m", "a", 45))
        for _ in range(6):
            await sim.advance("2s")
            await sim.restart()
        await sim.advance("5m")
        distinct = list(dict.fromkeys(tuple(batch) for batch in loaded))
        assert [name for batch in distinct for name in batch] == [f"a{n}" for n in range(45)]
        check_settled(sim)

    played(loading(), scene)


def test_what_is_edited_is_not_a_task() -> None:
    service = Service("mixed")

    @service.on(Task, Edited, batch=5, batch_wait="1s")
    async def both(events: list[Task | Edited]) -> None:
        written.extend(type(each).__name__ for each in events)

    async def scene(sim: Sim) -> None:
        await sim.emit(Task("a"))
        await sim.emit(Edited("p", 1))
        await sim.advance("1s")
        assert written == ["Task", "Edited"]
        check_settled(sim)

    played(App(service), scene)
