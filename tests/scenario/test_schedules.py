"""Schedules: one event for each planned time, and whatever a run comes to, the next one comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from tests.scenario.played_scene import scene

from onstage import App, Service, event, now, sleep, step
from onstage.contracts.schedule import Tick
from onstage.core.commit import Commit
from onstage.core.planned_run import SCHEDULES, ScheduleRow, decode_row
from onstage.errors import UsageError
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
