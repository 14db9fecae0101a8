"""Races that other engines had, each with the address of the thread it comes from.

Each of these tests fails on an engine that has such a race: the last test plants one for each.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.planted.bugs import BUGS
from tests.scenario import request_scenes as scenes
from tests.scenario.branch_scenes import (
    Asked,
    Told,
    Yes,
    act,
    app_of,
    at_every_crash,
    count,
    effects,
    once,
    opened,
    slow,
    told,
)
from tests.scenario.request_scenes import Go, done_and_undone, family, named, statuses
from tests.scenario.sim_checks import check_settled

from onstage import App, Reject, Service, gather, idempotency_key, spawn, start, step, wait
from onstage.contracts.schedule import Tick
from onstage.core.planned_run import SCHEDULES, decode_row
from onstage.errors import AskFailed
from onstage.events.receipt import Status
from onstage.runtime import dispatcher
from onstage.runtime.dispatcher import Dispatcher
from onstage.testing import Sim
from onstage.testing.virtual_clock import START_MS

order: list[int] = []


@pytest.mark.parametrize("early", [True, False])
def test_an_event_that_comes_before_the_wait_is_taken_by_it(early: bool) -> None:
    """https://github.com/inngest/inngest/issues/1433: an event sent right after the start was missed by the wait.

    It comes before the handler has begun at all, or while it is in the step before its wait.
    """

    async def handler(e: Asked) -> Told:
        first = await (act if early else slow)("before")
        return Told(e.key, first + (await wait(Yes)).by)

    async def scenario(sim: Sim) -> None:
        await sim.emit(Asked("a"), id="a")
        await sim.emit(Yes("a", "ada"), id="y")
        await sim.settle()
        assert told(sim) == ["beforeada"]
        assert count() == Counter(["before"])

    assert at_every_crash(handler, scenario) > 2


def test_an_execution_is_not_suspended_on_its_own_unfinished_step() -> None:
    """https://github.com/restatedev/restate/issues/5196: suspended while a step of its own ran, woken by nobody.

    Every other branch waits. The execution may not park while the step runs, or not without waking when it has ended.
    """

    async def chain() -> str:
        first = await slow("one")
        return first + await slow("two")

    async def handler(e: Asked) -> Told:
        both, answer = await gather(chain(), wait(Yes))
        return Told(e.key, both + answer.by)

    async def scenario(sim: Sim) -> None:
        await opened(sim)
        assert count() == Counter(["one", "two"])
        assert "waits for branch.yes" in str(sim.verdict("a"))
        await sim.emit(Yes("a", "ada"), id="y")
        await sim.settle()
        assert told(sim) == ["onetwoada"]

    assert at_every_crash(handler, scenario) > 4


def test_an_event_that_comes_while_a_step_runs_wakes_the_branch_that_waits() -> None:
    """https://github.com/restatedev/restate/issues/5196, the other way about: nothing is lost while it is busy."""

    async def answered() -> str:
        return (await wait(Yes)).by

    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await gather(answered(), slow("step"))))

    async def scenario(sim: Sim) -> None:
        await sim.emit(Asked("a"))
        await sim.emit(Yes("a", "ada"))
        await sim.settle()
        assert told(sim) == ["ada step"]

    effects.clear()
    asyncio.run(once(app_of(handler), scenario))


@step(retries=2)
async def take_turn(key: str) -> str:
    await asyncio.sleep(1)
    order.append(int(key))
    effects.append((f"turn {key}", idempotency_key()))
    return key


@pytest.mark.parametrize("branches", [1, 3])
def test_twenty_events_at_concurrency_one_are_dealt_with_in_their_order(branches: int) -> None:
    """https://github.com/inngest/inngest/issues/3050: twenty events, concurrency 1, in random order."""
    house = Service("house")

    @house.on(Asked, concurrency=1)
    async def handler(e: Asked) -> Told:
        await gather(*(take_turn(e.key) for _ in range(branches)))
        return Told(e.key, "done")

    async def scenario(sim: Sim) -> None:
        for number in range(20):
            await sim.emit(Asked(f"{number}"))
        await sim.settle()
        assert [told.key for told in sim.emitted(Told)] == [str(number) for number in range(20)]
        assert order == [number for number in range(20) for _ in range(branches)]

    order.clear()
    asyncio.run(once(App(house), scenario))


def test_a_free_worker_is_not_kept_from_work_by_branches_that_wait() -> None:
    """https://github.com/inngest/inngest-py/issues/351: two minutes' wait although a worker is free.

    Every place of the handler is taken by an execution whose branches are in long steps or wait; a parked one gives its
    place back at once, and a running one holds up nobody but itself.
    """
    house = Service("house")

    @house.on(Asked, concurrency=2, waits=[Yes])
    async def handler(e: Asked) -> Told:
        spawn(act(f"beside {e.key}"))
        if e.key != "quick":
            await gather(wait(Yes), act(f"own {e.key}"))
        return Told(e.key, "done")

    async def scenario(sim: Sim) -> None:
        for number in range(10):
            await sim.emit(Asked(f"{number}"))
        await sim.settle()
        before = sim.clock.now_ms()
        await sim.emit(Asked("quick"))
        await sim.settle()
        assert [told.key for told in sim.emitted(Told)] == ["quick"]
        assert sim.clock.now_ms() - before < 1_000

    effects.clear()
    asyncio.run(once(App(house), scenario))


def test_a_failed_child_is_a_failure_on_every_replay() -> None:
    """https://github.com/hatchet-dev/hatchet/issues/4554: a failed child was replayed as a success."""
    house = Service("house")

    @house.workflow
    async def child(name: str) -> str:
        raise Reject("too young")

    @house.workflow
    async def parent(name: str) -> str:
        try:
            result = await start(child, name)
        except AskFailed as error:
            result = f"failed: {error.reason}"
        try:
            await wait(Go, timeout="1h")
        except TimeoutError:
            return result
        return "in time"

    async def told(sim: Sim) -> None:
        process = await sim.start(parent, "p")
        await sim.settle()
        await sim.restart()
        await sim.advance("2h")
        check_settled(sim)
        assert sim.result(process) == "failed: too young"

    assert asyncio.run(Sim(App(house), seed=7).every_crash(told)) >= 4


@pytest.mark.parametrize("turn", [512, 1])
def test_a_cancel_that_meets_the_start_of_a_child_leaves_no_orphan(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """https://github.com/temporalio/sdk-python/issues/1445: cancelled while a child starts, the cancel was lost."""
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", turn)  # at 1 every hop is a batch, and a place to die at
    a_cancel_that_meets_the_start_of_a_child()


def a_cancel_that_meets_the_start_of_a_child() -> None:
    """It comes at once or a little later, and every crash is tried: there is no child, or the child ends as well."""
    app, house = family()
    parent = named(house, "parent")

    async def scene(sim: Sim, pause_s: float) -> None:
        scenes.effects.clear()
        process = await sim.start(parent, "p", id="p")
        if pause_s:
            await sim.advance(pause_s)
        await sim.control("cancel", process)
        await sim.settle()
        check_settled(sim)
        with pytest.raises(AskFailed, match="cancelled"):
            sim.result(process)
        ended = statuses(sim)
        assert set(ended) == {Status.CANCELLED}, sim.history("p")
        assert done_and_undone()

    points = asyncio.run(Sim(app, seed=8).every_crash(lambda sim: scene(sim, 0)))
    points += asyncio.run(Sim(app, seed=8).every_crash(lambda sim: scene(sim, 1)))
    assert points >= 6


def test_recovery_adopts_nothing_that_this_very_process_has_begun() -> None:
    """https://github.com/dbos-inc/dbos-transact-java/issues/491: recovery adopted what its own process had begun."""
    scenes.effects.clear()
    app, house = family()
    parent = named(house, "parent")

    async def story() -> None:
        async with Sim(app, seed=10) as sim:
            plain, taken = sim.world.faults.invoke, list[int]()

            async def invoke(step: Any, frame: Any, position: str, arguments: tuple[Any, ...]) -> Any:
                taken.append(await sim.world.node.recovery.sweep())  # in the middle of what has just begun
                return await plain(step, frame, position, arguments)

            sim.world.node.invoke = invoke
            process = await sim.start(parent, "p", id="p")
            await sim.settle()
            assert taken == [0, 0]
            assert [what for what in scenes.effects if what != "finally"] == ["make p first", "make p child"]
            await sim.control("cancel", process)
            await sim.settle()
            check_settled(sim)

    asyncio.run(story())


def test_a_schedule_does_not_stop_after_a_run_that_failed_for_good() -> None:
    """https://github.com/MISP/MISP/issues/500: after an error the next run was not planned, and nobody was told.

    And https://github.com/kelektiv/node-cron/issues/585. The node dies at every commit; the next run is always planned.
    """
    clock, ran = Service("clock"), set[datetime]()

    @clock.every("1h")
    async def report(tick: Tick) -> None:
        ran.add(tick.planned)
        raise ValueError("broken")

    async def scenario(sim: Sim) -> None:
        ran.clear()
        await sim.advance("3h")
        begin = datetime.fromtimestamp(START_MS / 1000, UTC)
        assert ran == {begin + timedelta(hours=n) for n in (1, 2, 3)}
        (note,) = sim.read(lambda reader: reader.notes(SCHEDULES))
        assert decode_row(note.body).due == START_MS + 4 * 3_600_000

    assert asyncio.run(Sim(App(clock), seed=12).every_crash(scenario)) > 4


def last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    """Who comes last to a handler that is busy is next."""
    plain = Dispatcher.release_place

    def release(self: Dispatcher, delivery: Any) -> None:
        delivery.reaction.backlog.rotate(1)
        plain(self, delivery)

    patch.setattr(Dispatcher, "release_place", release)


def places_not_given_back(patch: pytest.MonkeyPatch) -> None:
    """An execution that waits, or has ended, counts as one that runs."""
    patch.setattr(Dispatcher, "release_place", lambda *_: None)


PLANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Callable[[], None]]] = [
    (BUGS["early-mail-lost"].plant, lambda: test_an_event_that_comes_before_the_wait_is_taken_by_it(early=True)),
    (last_come_first_served, lambda: test_twenty_events_at_concurrency_one_are_dealt_with_in_their_order(1)),
    (places_not_given_back, test_a_free_worker_is_not_kept_from_work_by_branches_that_wait),
    (BUGS["children-left-alone"].plant, a_cancel_that_meets_the_start_of_a_child),
    (BUGS["wakeup-lost"].plant, test_an_event_that_comes_while_a_step_runs_wakes_the_branch_that_waits),
    (BUGS["parked-under-a-running-branch"].plant, test_an_execution_is_not_suspended_on_its_own_unfinished_step),
    (BUGS["failure-taken-for-a-value"].plant, test_a_failed_child_is_a_failure_on_every_replay),
    (BUGS["dead-letter-counts-as-under-way"].plant, test_a_schedule_does_not_stop_after_a_run_that_failed_for_good),
    (BUGS["recovery-adopts-what-runs"].plant, test_recovery_adopts_nothing_that_this_very_process_has_begun),
]


@pytest.mark.parametrize(("plant", "test"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_an_engine_with_such_a_race_does_not_pass(
    plant: Callable[[pytest.MonkeyPatch], None], test: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(Exception, match=r"."):
        test()
