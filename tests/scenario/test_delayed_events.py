"""Delayed events: stored at once, emitted when they are due and never earlier, whatever dies in between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from tests.scenario.played_scene import scene

from onstage import App, Process, Service, emit, event, now, step, wait
from onstage.errors import UsageError
from onstage.events.delayed import LATER
from onstage.ports.store import ExecutionView, Reader
from onstage.testing import Sim
from onstage.testing.virtual_clock import START_MS


@event("late.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


@event("late.reminded", key="id")
@dataclass(frozen=True)
class Reminded:
    id: str
    which: int = 0


@event("late.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


shop = Service("late-shop")
mail = Service("late-mail")
began: list[tuple[int, datetime]] = []


@step
async def note(which: int, at: datetime) -> None:
    began.append((which, at))


@shop.on(Placed)
async def remind_later(e: Placed) -> Reminded | None:
    await emit(Reminded(e.id, 1), after="10m")
    return None


@mail.on(Reminded)
async def remind(e: Reminded) -> Paid | None:
    await note(e.which, now())
    return Paid(e.id) if e.which == 1 else None


order = Process("late-order", starts=Placed, done=Paid)
APP = App(shop, mail, order)
BEGIN = datetime.fromtimestamp(START_MS / 1000, UTC)


async def later(reader: Reader) -> list[ExecutionView]:
    return await reader.executions(handler=LATER)


@pytest.fixture(autouse=True)
def _nothing_noted() -> None:
    began.clear()


@scene
async def test_a_delayed_event_comes_when_it_is_due_and_not_earlier() -> None:
    async with Sim(APP, seed=1) as sim:
        await sim.emit(Placed("o1"))
        await sim.advance("9m")
        verdict = sim.verdict("o1")
        assert (verdict.status, verdict.until) == ("waiting", BEGIN + timedelta(minutes=10))
        assert "late.reminded comes at 2026-01-01 00:10:00 UTC" in verdict.reasons[0]
        assert sim.emitted(Reminded) == []
        assert sim.outcome("o1") is None
        await sim.advance("59s")
        assert sim.emitted(Reminded) == []
        await sim.advance("2s")
        assert sim.emitted(Reminded) == [Reminded("o1", 1)]
        assert sim.outcome("o1") == "Paid"
        assert [at for _, at in began] == [BEGIN + timedelta(minutes=10)]


@scene
async def test_it_comes_once_whichever_commit_the_node_dies_at() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.emit(Placed("o1"), id="1")
        await sim.advance("11m")
        assert sim.emitted(Reminded) == [Reminded("o1", 1)]
        assert sim.emitted(Paid) == [Paid("o1")]
        assert sim.verdict("o1").status == "completed"

    async with Sim(APP, seed=2) as sim:
        assert await sim.every_crash(scenario) >= 6


@scene
async def test_one_that_fell_due_while_no_node_ran_comes_at_the_start() -> None:
    async with Sim(APP, seed=3) as sim:
        await sim.emit(Placed("o1"))
        await sim.settle()
        await sim.restart()
        await sim.advance("1m")
        assert sim.emitted(Reminded) == []
        await sim.advance("10m")
        assert len(sim.emitted(Reminded)) == 1


@scene
async def test_from_outside_it_opens_its_process_at_once_and_its_id_is_known() -> None:
    async with Sim(APP, seed=4) as sim:
        due = BEGIN + timedelta(hours=1)
        process = await sim.emit(Placed("o1"), id="once", at=due)
        assert await sim.emit(Placed("o1"), id="once", at=due) == process
        await sim.settle()
        assert sim.verdict("o1").status == "waiting"
        assert sim.emitted(Placed) == []
        await sim.advance("59m")
        assert sim.emitted(Placed) == []
        await sim.advance("30m")
        assert sim.emitted(Placed) == [Placed("o1")]
        assert sim.outcome("o1") == "Paid"
        assert len(sim.read(lambda reader: reader.processes())) == 1


@scene
async def test_a_delayed_event_takes_its_place_in_its_lane_when_it_is_due() -> None:
    async with Sim(APP, seed=5) as sim:
        await sim.emit(Reminded("k", 3), after="3m")
        await sim.emit(Reminded("k", 2), after="2m")
        await sim.emit(Reminded("k", 0))
        await sim.advance("5m")
        assert [which for which, _ in began] == [0, 2, 3]


@scene
async def test_many_that_are_due_at_once_come_in_the_order_of_their_times() -> None:
    async with Sim(APP, seed=6) as sim:
        for which in range(1_200):
            await sim.emit(Reminded(f"k{which}", which), after=timedelta(milliseconds=60_000 + (which * 7) % 1_000))
        await sim.advance("30s")
        await sim.restart()
        await sim.advance("2m")
        dues = [(each.which * 7) % 1_000 for each in sim.emitted(Reminded)]
        assert len(dues) == 1_200
        assert dues == sorted(dues)


# Waits.

waiting = Service("late-waiting")


@event("late.asked", key="id")
@dataclass(frozen=True)
class Asked:
    id: str


@event("late.answered", key="id")
@dataclass(frozen=True)
class Answered:
    id: str


@waiting.on(Asked, emits=[Answered, Paid])
async def until_answered(e: Asked) -> Paid:
    await emit(Answered(e.id), after="1h")
    await wait(Answered)
    return Paid(e.id)


@scene
async def test_mail_is_due_with_the_event() -> None:
    async with Sim(App(waiting), seed=7) as sim:
        await sim.emit(Asked("w"))
        await sim.advance("59m")
        assert sim.emitted(Paid) == []
        await sim.advance("2m")
        assert sim.emitted(Paid) == [Paid("w")]


# Expiry.


@scene
async def test_an_expired_event_is_skipped_and_says_so() -> None:
    async with Sim(APP, seed=8) as sim:
        await sim.emit(Reminded("k", 1), after="10m", expires="1h")
        await sim.advance("30m")
        assert [which for which, _ in began] == [1]
        await sim.emit(Reminded("l", 2), expires=BEGIN)
        await sim.settle()
        assert [which for which, _ in began] == [1]
        verdict = sim.verdict("l")
        assert verdict.status == "dead end"
        assert "remind skipped it: it expired at 2026-01-01 00:00:00 UTC" in verdict.reasons[0]


slow = Service("late-slow")


@slow.on(Reminded, key="which")
async def long(e: Reminded) -> Paid | None:
    await note(e.which, BEGIN)  # nothing before the effect that would be recorded
    return Paid(e.id)


@scene
async def test_what_waits_behind_another_in_its_lane_expires_there_and_what_has_begun_never() -> None:
    async with Sim(App(slow), seed=9) as sim:
        sim.delay(note, "2m")
        await sim.emit(Reminded("a", 5), expires="1m")
        await sim.emit(Reminded("b", 5), expires="1m")
        await sim.advance("10m")
        assert sim.emitted(Paid) == [Paid("a")]
        assert sim.verdict("b").reasons[0].startswith("late.reminded: late-slow.long skipped it")


@scene
async def test_an_effect_that_was_made_is_never_followed_by_expiry() -> None:
    async def scenario(sim: Sim) -> None:
        began.clear()
        sim.delay(note, "2m")
        await sim.emit(Reminded("a", 5), id="1", expires="1m")
        await sim.advance("10m")
        assert bool(began) == bool(sim.emitted(Paid))

    async with Sim(App(slow), seed=10) as sim:
        assert await sim.every_crash(scenario) >= 4


# Refusals.


@scene
async def test_moments_without_a_time_zone_and_two_times_are_refused() -> None:
    async with Sim(APP, seed=11) as sim:
        with pytest.raises(UsageError, match="time zone"):
            await sim.emit(Placed("x"), at=datetime(2026, 1, 1))  # noqa: DTZ001
        with pytest.raises(UsageError, match="due once"):
            await sim.emit(Placed("x"), at=BEGIN, after="1m")
        with pytest.raises(ValueError, match="not a duration"):
            await sim.emit(Placed("x"), after="soon")
        assert sim.read(lambda reader: reader.processes()) == []
