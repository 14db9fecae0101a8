"""Schedules: one event for each planned time, and whatever a run comes to, the next one comes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from tests.scenario.played_scene import scene

from onstage import App, Service, event, now, sleep, step
from onstage.contracts.schedule import Tick
from onstage.core.commit import Commit
from onstage.core.planned_run import SCHEDULES, ScheduleRow, decode_row
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.ports.store import ExecutionView, Reader
from onstage.runtime.cancelling import MARK
from onstage.testing import Sim
from onstage.testing.virtual_clock import START_MS

BEGIN = datetime.fromtimestamp(START_MS / 1000, UTC)
ran: list[tuple[datetime, datetime]] = []
effects: list[datetime] = []


@event("clock.reported")
@dataclass(frozen=True)
class Reported:
    day: str


@step
def count(planned: datetime) -> None:
    effects.append(planned)


@pytest.fixture(autouse=True)
def _clean() -> None:
    ran.clear()
    effects.clear()


def hourly(**options: object) -> App:
    clock = Service("clock")

    @clock.every("0 * * * *", **options)  # type: ignore[arg-type]
    async def report(tick: Tick) -> Reported:
        ran.append((tick.planned, now()))
        await count(tick.planned)
        return Reported(f"{tick.planned:%H}")

    return App(clock)


def taking(length: str, **options: object) -> App:
    clock = Service("clock")

    @clock.every("10m", **options)  # type: ignore[arg-type]
    async def report(tick: Tick) -> None:
        await count(tick.planned)
        await sleep(length)

    return App(clock)


def row(sim: Sim) -> ScheduleRow:
    notes = sim.read(lambda reader: reader.notes(SCHEDULES))
    return decode_row(notes[0].body)


def minutes(*numbers: int) -> list[datetime]:
    return [BEGIN + timedelta(minutes=number) for number in numbers]


@scene
async def test_a_schedule_runs_at_its_planned_times_and_each_run_is_a_process() -> None:
    async with Sim(hourly(), seed=1) as sim:
        await sim.advance("59m")
        assert ran == []
        assert row(sim).due == START_MS + 3_600_000
        await sim.advance("2h")
        assert [planned for planned, _ in ran] == [at for _, at in ran] == minutes(60, 120)
        assert row(sim).due == START_MS + 3 * 3_600_000
        assert row(sim).runs == 2
        assert [each.key for each in sim.read(lambda reader: reader.processes())] == ["clock.report"] * 2
        assert sim.verdict("clock.report").is_final


@scene
async def test_a_handler_without_parameters_runs_too_and_allows_overlap() -> None:
    clock, calls = Service("clock"), list[datetime]()

    @clock.every(timedelta(minutes=5), overlap="allow")
    async def plain() -> None:
        calls.append(now())
        await sleep("7m")

    async with Sim(App(clock), seed=2) as sim:
        await sim.advance("11m")
        assert set(calls) == set(minutes(5, 10))
        assert len(sim.read(lambda reader: reader.processes(open_only=True))) == 2
    assert plain.fn is not None


@scene
async def test_a_planned_time_has_one_event_whichever_commit_the_node_dies_at() -> None:
    async def scenario(sim: Sim) -> None:
        effects.clear()
        await sim.advance("3h")
        await sim.settle()
        assert [each.day for each in sim.emitted(Reported)] == ["01", "02", "03"]
        assert sorted(set(effects)) == minutes(60, 120, 180)
        assert row(sim).due == START_MS + 4 * 3_600_000
        assert len(sim.read(lambda reader: reader.processes())) == 3

    async with Sim(hourly(), seed=3) as sim:
        assert await sim.every_crash(scenario) >= 10


@scene
async def test_the_next_run_comes_though_one_failed_for_good() -> None:
    # Schedules that stop in silence after one failure: https://github.com/kelektiv/node-cron/issues/585
    async with Sim(hourly(), seed=4) as sim:
        sim.fail(count, ValueError("broken"), times=1_000)
        await sim.advance("1h")
        await sim.advance("5h")
        assert sim.verdict("clock.report").status in ("stuck", "waiting")
        assert {planned for planned, _ in ran} >= set(minutes(60, 120, 180, 240, 300))


@scene
async def test_the_next_run_comes_though_the_store_refused_one() -> None:
    # A run that is consumed though nothing was stored: https://github.com/NousResearch/hermes-agent/issues/111414
    async with Sim(hourly(), seed=5) as sim:
        store, refused = sim.world.store, list[Commit]()
        append = store.append

        def spoiling(commit: Commit) -> int:
            if commit.door is not None and len(refused) < 3:
                refused.append(commit)
                commit.epoch -= 1  # the store refuses it as that of an older writer
            return append(commit)

        store.append = spoiling
        await sim.advance("3h")
        assert len(refused) == 3
        assert [each.day for each in sim.emitted(Reported)] == ["01", "02", "03"]


@scene
async def test_the_next_run_comes_after_the_clock_jumped() -> None:
    async with Sim(hourly(), seed=6) as sim:
        shift = [0]
        told = sim.clock.now_ms
        sim.clock.now_ms = lambda: told() + shift[0]  # type: ignore[method-assign]
        await sim.advance("90m")
        shift[0] = 3_600_000
        await sim.advance("2m")
        assert [planned for planned, _ in ran] == minutes(60, 120)
        shift[0] = -3_600_000
        await sim.advance("58m")
        assert [planned for planned, _ in ran] == minutes(60, 120), "its time has not come again"
        await sim.advance("2h")
        assert [planned for planned, _ in ran] == minutes(60, 120, 180)


@scene
async def test_missed_runs_are_caught_up_within_the_window_and_older_ones_counted() -> None:
    async with Sim(hourly(catch_up="2h", overlap="queue"), seed=7) as sim:
        shift = [0]
        told = sim.clock.now_ms
        sim.clock.now_ms = lambda: told() + shift[0]  # type: ignore[method-assign]
        shift[0] = 5 * 3_600_000 + 60_000  # so long nothing ran
        await sim.advance("2m")
        assert [planned for planned, _ in ran] == minutes(240, 300)
        assert (row(sim).skipped, row(sim).skipped_last) == (3, START_MS + 3 * 3_600_000)
        assert row(sim).due == START_MS + 6 * 3_600_000


@scene
async def test_a_run_that_is_due_while_one_is_under_way_is_left_out() -> None:
    async with Sim(taking("25m"), seed=8) as sim:
        await sim.advance("61m")
        assert effects == minutes(10, 40)
        assert row(sim).skipped == 4
        assert row(sim).skipped_why == "the run before was still under way"


@scene
async def test_a_run_that_is_due_while_one_is_under_way_waits_its_turn() -> None:
    async with Sim(taking("25m", overlap="queue"), seed=9) as sim:
        await sim.advance("61m")
        assert effects == minutes(10, 20, 30)
        assert row(sim).runs == 6


def statuses(sim: Sim) -> list[Status]:
    processes = sim.read(lambda reader: reader.processes(limit=100))
    views = [view for each in processes for view in sim.read(partial(executions_of, process=each.id))]
    return [Status(view.status) for view in sorted(views, key=lambda view: view.id)]


async def executions_of(reader: Reader, process: int) -> list[ExecutionView]:
    return await reader.executions(process=process)


def undone(result: None, planned: datetime) -> None:
    effects[:] = [each for each in effects if each != planned]


@step(undo=undone)
def count_for_now(planned: datetime) -> None:
    effects.append(planned)


def replacing(first: str) -> App:
    """Every ten minutes a run whose first one takes `first`, and undoes what it did when it is cancelled."""
    clock = Service("clock")

    @clock.every("10m", overlap="cancel-other")
    async def report(tick: Tick) -> None:
        ran.append((tick.planned, now()))
        await count_for_now(tick.planned)
        await sleep(first if tick.planned == minutes(10)[0] else "1m")

    return App(clock)


@scene
async def test_a_run_that_is_due_cancels_the_one_under_way_wherever_the_node_dies() -> None:
    async def scenario(sim: Sim) -> None:
        effects.clear()
        await sim.advance("25m")
        await sim.settle()
        assert statuses(sim) == [Status.CANCELLED, Status.DONE]
        assert set(effects) == set(minutes(20)), "what the cancelled one did is undone"
        assert row(sim).runs == 2
        assert row(sim).skipped == 0
        assert sim.read(lambda reader: reader.notes(MARK)) == [], "no mark is left behind"

    async with Sim(replacing("25m"), seed=21) as sim:
        assert await sim.every_crash(scenario) >= 10
    async with Sim(replacing("9m"), seed=21) as sim:
        await sim.advance("25m")
        assert statuses(sim) == [Status.DONE] * 2, "what has ended is left alone"


@scene
async def test_the_next_run_begins_when_the_cancelled_one_has_ended() -> None:
    clock, order = Service("clock"), list[str]()

    @clock.every("10m", overlap="cancel-other")
    async def report(tick: Tick) -> None:
        order.append(f"begin {tick.planned:%M}")
        try:
            await sleep("1d")
        finally:
            order.append(f"end {tick.planned:%M}")

    async with Sim(App(clock), seed=22) as sim:
        await sim.advance("31m")
        ends = [name for name in order if name.startswith("end")]
        assert order.index("begin 20") > max(at for at, name in enumerate(order) if name == "end 10")
        assert set(ends) == {"end 10", "end 20", "end 30"}, "parking runs `finally` too"
        assert statuses(sim) == [Status.CANCELLED] * 2 + [Status.WAITING]


@step(undo=undone)
async def count_slowly(planned: datetime) -> None:
    await asyncio.sleep(1500 if planned == minutes(10)[0] else 0)
    effects.append(planned)


@scene
async def test_a_run_that_is_cancelled_before_it_began_never_runs() -> None:
    clock = Service("clock")

    @clock.every("10m", overlap="cancel-other")
    async def report(tick: Tick) -> None:
        ran.append((tick.planned, now()))
        await count_slowly(tick.planned)
        await sleep("1m")

    async def scenario(sim: Sim) -> None:
        ran.clear()
        effects.clear()
        await sim.advance("45m")
        assert statuses(sim) == [Status.CANCELLED, Status.CANCELLED, Status.DONE, Status.DONE]
        assert {planned for planned, _ in ran} == set(minutes(10, 30, 40))
        assert set(effects) == set(minutes(30, 40)), "a step that runs ends first, and is undone"

    async with Sim(App(clock), seed=23) as sim:
        await scenario(sim)


async def _operate(sim: Sim, action: str, *moments: datetime) -> str:
    ends = [round(each.timestamp() * 1000) for each in moments] or [None, None]
    return await sim.operate_schedule(action, "clock.report", first_ms=ends[0], last_ms=ends[1])


@scene
async def test_a_paused_schedule_stands_still_across_a_restart() -> None:
    async with Sim(hourly(), seed=10) as sim:
        await sim.advance("61m")
        assert await _operate(sim, "pause") == "clock.report is paused"
        await sim.restart()
        await sim.advance("3h")
        assert len(ran) == 1
        assert row(sim).paused
        await _operate(sim, "resume")
        await sim.advance("1h")
        assert [planned for planned, _ in ran] == minutes(60, 300)


@scene
async def test_a_backfill_adds_the_planned_times_that_have_no_event() -> None:
    async with Sim(hourly(), seed=11) as sim:
        await sim.advance("61m")
        await _operate(sim, "pause")
        await sim.advance("3h")
        said = await _operate(sim, "backfill", BEGIN, BEGIN + timedelta(hours=4))
        assert said == "clock.report: 4 runs added, 1 had been emitted before"
        await sim.settle()
        assert sorted({planned for planned, _ in ran}) == minutes(0, 60, 120, 180, 240)
        again = await _operate(sim, "backfill", BEGIN, BEGIN + timedelta(hours=4))
        assert again == "clock.report: 0 runs added, 5 had been emitted before"
        with pytest.raises(UsageError, match="not over yet"):
            await _operate(sim, "backfill", BEGIN, BEGIN + timedelta(days=4))
        with pytest.raises(UsageError, match="there is no schedule"):
            await sim.operate_schedule("pause", "clock.other")


@scene
async def test_the_wall_clock_of_the_zone_counts() -> None:
    clock, days = Service("clock"), list[datetime]()

    @clock.every("0 9 * * MON-FRI", tz="Europe/Berlin", name="open")
    async def open_shop(tick: Tick) -> None:
        days.append(tick.planned)

    async with Sim(App(clock), seed=12) as sim:
        await sim.advance("5d")
    # 1 January 2026 is a Thursday; Berlin is an hour ahead of UTC in winter.
    assert days == [BEGIN + timedelta(days=day, hours=8) for day in (0, 1, 4)]
