"""What an operator does about steps and undos that cannot be done: skip them, give them up, mend them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.scenario.played_scene import scene

from onstage import App, Process, Retry, Service, event, step
from onstage.errors import RetryAfter, UsageError
from onstage.testing import Sim

DID: list[str] = []
BROKEN: set[str] = set()


@event("hand.asked", key="trip")
@dataclass(frozen=True)
class Asked:
    trip: str
    plan: str = ""


@event("hand.booked", key="trip")
@dataclass(frozen=True)
class Booked:
    trip: str
    plan: str
    seat: str


@event("hand.off", key="trip")
@dataclass(frozen=True)
class Off:
    trip: str


@event("hand.sent", key="trip")
@dataclass(frozen=True)
class Sent:
    trip: str
    ticket: int


def reset(*broken: str) -> None:
    DID.clear()
    BROKEN.clear()
    BROKEN.update(broken)


def did(what: str) -> None:
    if what in BROKEN:
        raise ConnectionError(f"{what} cannot be done")
    DID.append(what)


def free(seat: str, trip: str) -> None:
    did(f"-seat {seat}")


@step(undo=free, retry=Retry(1))
async def seat(trip: str) -> str:
    did("+seat")
    return "12A"


def tear(number: int, trip: str) -> None:
    did(f"-ticket {number}")


@step(undo=tear, retry=Retry(1))
async def ticket(trip: str) -> int:
    did("+ticket")
    return 7


@step(undo=tear, retry=Retry(2))
async def slow_ticket(trip: str) -> int:
    """Nobody hears whether it was done."""
    did("+slow ticket")
    raise RetryAfter("10h")


@step(retry=Retry(1))
async def stamp(trip: str) -> int:
    """Without an undo: its failure leaves no entry."""
    did("+stamp")
    return 1


house, office = Service("house"), Service("office")


@house.on(Asked)
async def book(e: Asked) -> Booked:
    return Booked(e.trip, e.plan, await seat(e.trip))


@office.on(Booked, retry=Retry(1))
async def send(e: Booked) -> Sent | Off:
    if e.plan == "plain":
        return Sent(e.trip, await stamp(e.trip))
    number = await (slow_ticket if e.plan == "slow" else ticket)(e.trip)
    return Off(e.trip) if e.plan == "off" else Sent(e.trip, number)


waiting = Process("trip", starts=Asked, done=Sent, failed=Off, undo=True)
leaving = Process("trip", starts=Asked, done=Sent, failed=Off, undo=True, on_undo_failure="residue")
APP, LEAVING = App(house, office, waiting), App(house, office, leaving)


@scene
async def test_a_step_that_cannot_be_done_is_skipped_and_its_process_goes_on_with_the_result() -> None:
    for plan, broken, name in (("", "+ticket", "ticket"), ("plain", "+stamp", "stamp")):

        async def once(sim: Sim, *, plan: str = plan, broken: str = broken, name: str = name) -> None:
            reset(broken)
            await sim.emit(Asked("t1", plan), id="t1")
            await sim.settle()
            assert sim.verdict("t1").status == "stuck"
            told = await sim.skip("t1", name, 9)
            assert told == f"step {name}#0 counts as done with this result"
            await sim.settle()
            assert sim.emitted(Sent) == [Sent("t1", 9)]
            assert sim.verdict("t1").status == "completed"
            assert await sim.skip("t1", name, 9) == told

        async with Sim(APP) as sim:
            await once(sim)
        assert await Sim(APP).every_crash(once) > 5


@scene
async def test_a_step_that_was_skipped_is_undone_with_the_result_that_was_given() -> None:
    reset("+ticket")
    async with Sim(APP) as sim:
        process = await sim.emit(Asked("t1", "off"))
        await sim.settle()
        await sim.skip("t1", "ticket", 9)
        await sim.settle()
        assert sim.verdict("t1").status == "compensated", process
    assert DID == ["+seat", "-ticket 9", "-seat 12A"]


@scene
async def test_a_step_that_waits_for_its_next_attempt_does_not_wait_for_it_once_it_is_skipped() -> None:
    reset()
    async with Sim(APP) as sim:
        await sim.emit(Asked("t1", "slow"))
        await sim.settle()
        assert "tries again" in str(sim.verdict("t1"))
        await sim.skip("t1", "slow_ticket", 3)
        await sim.settle()
        assert sim.emitted(Sent) == [Sent("t1", 3)]
        await sim.advance("11h")
    assert DID.count("+slow ticket") == 1


@scene
async def test_a_step_is_skipped_once_and_only_with_what_it_could_have_come_to() -> None:
    reset("+ticket")
    async with Sim(APP) as sim:
        await sim.emit(Asked("t1"))
        await sim.settle()
        for wrong, said in (("nine", "does not fit step ticket"), (None, "has no result")):
            with pytest.raises(UsageError, match=said):
                await sim.skip("t1", "ticket", wrong)
        with pytest.raises(UsageError, match=r"no step stamp of this process(.|\n)*stuck are: ticket#0"):
            await sim.skip("t1", "stamp", 1)
        await sim.skip("t1", "ticket", 9)
        await sim.settle()
        with pytest.raises(UsageError, match="no step ticket of execution"):
            await sim.skip("t1", "ticket", 8)
        assert sim.emitted(Sent) == [Sent("t1", 9)]


@scene
async def test_an_undo_that_cannot_be_done_is_skipped_and_the_process_is_compensated() -> None:
    async def once(sim: Sim) -> None:
        reset("-ticket 7")
        await sim.emit(Asked("t1", "off"), id="t1")
        await sim.advance("2d")
        assert sim.verdict("t1").status == "stuck"
        told = await sim.skip("t1", "ticket")
        assert told == "the undo of step ticket#0 counts as done"
        await sim.settle()
        assert str(sim.verdict("t1")) == "compensated: hand.off"
        assert await sim.skip("t1", "ticket") == told
        assert DID[-1] == "-seat 12A"

    async with Sim(APP) as sim:
        await once(sim)
    assert await Sim(APP).every_crash(once) > 5


@scene
async def test_a_step_in_doubt_that_cannot_be_brought_to_an_end_is_undone_with_the_result_that_is_given() -> None:
    for result, undone in ((5, ["-ticket 5"]), (None, [])):
        reset()
        async with Sim(APP) as sim:
            process = await sim.emit(Asked("t1", "slow"))
            await sim.settle()
            BROKEN.add("+slow ticket")
            await sim.control("cancel", process)
            await sim.advance("2d")
            assert sim.verdict("t1").status == "stuck"
            await sim.skip("t1", "slow_ticket", result)
            await sim.advance("1m")
            assert sim.verdict("t1").status == "compensated", str(sim.verdict("t1"))
        assert ["+seat", "+slow ticket", *undone, "-seat 12A"] == DID


@scene
async def test_a_process_declared_so_goes_on_without_an_undo_that_fails_and_its_residue_is_resolved() -> None:
    async def once(sim: Sim) -> None:
        reset("-ticket 7")
        process = await sim.emit(Asked("t1", "off"), id="t1")
        await sim.advance("2d")
        verdict = sim.verdict("t1")
        assert verdict.status == "compensated with residue"
        assert "ticket" in verdict.reasons[1]
        assert DID[-1] == "-seat 12A"
        told = await sim.control("resolve", process, note="called the station")
        assert told.startswith(f"the residue of process {process} is resolved")
        assert sim.verdict("t1").status == "compensated"
        assert "called the station" in sim.verdict("t1").reasons[1]
        assert await sim.control("resolve", process) == f"the residue of process {process} is resolved already"
        await sim.settle()

    async with Sim(LEAVING) as sim:
        await once(sim)
    assert await Sim(LEAVING).every_crash(once) > 5


@scene
async def test_only_residue_can_be_resolved() -> None:
    reset("-ticket 7")
    async with Sim(APP) as sim:
        process = await sim.emit(Asked("t1", "off"))
        fine = await sim.emit(Asked("t2"))
        await sim.advance("2d")
        with pytest.raises(UsageError, match=r"still being undone(.|\n)*onstage skip"):
            await sim.control("resolve", process)
        with pytest.raises(UsageError, match="has no residue"):
            await sim.control("resolve", fine)
        with pytest.raises(LookupError):
            await sim.control("resolve", "nobody-1")
        await sim.skip("t1", "ticket")
        await sim.settle()
        with pytest.raises(UsageError, match=r"has no residue\n  why: it is compensated"):
            await sim.control("resolve", process)
