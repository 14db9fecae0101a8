"""Processes that are undone from outside: cancelled, undone on request, at their deadline, and past their pivot."""

from __future__ import annotations

import pytest
from benchmarks.undo import UNDO_S, virtual_s
from tests.scenario.played_scene import scene
from tests.scenario.undone_scenes import (
    APP,
    DID,
    FOREVER,
    ODD,
    TIMED,
    TOLD,
    TRAIN,
    Approved,
    Placed,
    Refused,
    Told,
    act,
    check,
    depart,
    reset,
)

from onstage.errors import UsageError
from onstage.runtime.wave_plan import plan_of
from onstage.testing import Sim
from onstage.verdicts import ProcessCompensated


@scene
async def test_a_process_is_cancelled_by_hand_and_all_of_it_undone() -> None:
    """It waits for an approval in one service, and has an outcome in none."""
    reset()
    async with Sim(FOREVER) as sim:
        process = await sim.emit(Placed("o1", "fine"))
        await sim.settle()
        assert sim.verdict("o1").status == "waiting"
        told = await sim.control("cancel", process)
        assert told == f"process {process} is being undone"
        await sim.settle()
        assert str(sim.verdict("o1")) == "compensated: cancelled by an operator"
        (told_of,) = TOLD
        assert (told_of.process, told_of.key, told_of.reason) == (process, "o1", "cancelled by an operator")
        assert (told_of.residue, told_of.number) == ((), 0)
        assert await sim.control("cancel", process) == f"process {process} is compensated already"
        await sim.emit(Approved("o1"))
        await sim.settle()
    check("late")
    assert "+stamp o1" not in DID


@scene
async def test_whatever_dies_while_it_is_cancelled_by_hand() -> None:
    async def once(sim: Sim) -> None:
        reset()
        process = await sim.emit(Placed("o1", "fine"), id="o1")
        await sim.settle()
        await sim.control("cancel", process)
        await sim.settle()
        assert sim.verdict("o1").status == "compensated"
        assert len({(each.process, each.number) for each in TOLD}) == len(sim.emitted(ProcessCompensated)) == 1
        check("late")

    assert await Sim(FOREVER).every_crash(once) > 10


@scene
async def test_a_completed_process_is_undone_on_request_in_the_order_that_was_shown_before() -> None:
    reset()
    async with Sim(APP) as sim:
        process = await sim.emit(Placed("o1", "plain"))
        await sim.settle()
        assert sim.outcome("o1") == "Shipped"
        with pytest.raises(UsageError, match="has ended with"):
            await sim.control("cancel", process)
        number = sim.read(lambda reader: reader.processes(key="o1"))[0].id
        plan = sim.read(lambda reader: plan_of(reader, number))
        await sim.control("undo", process)
        await sim.settle()
        assert str(sim.verdict("o1")) == "compensated: an operator has it undone"
    check("late")
    shown = [(each.round, each.handler, each.step) for each in plan]
    assert (1, "shipping.ship", "act#0") in shown
    assert (2, "payment.charge", "act#0") in shown
    assert shown.index((3, "stock.reserve", "act#1")) < shown.index((3, "stock.reserve", "act#0"))
    assert len(shown) == len([what for what in DID if what.startswith("-")])


@scene
async def test_whatever_state_an_execution_is_in_it_stops_and_what_it_did_is_undone() -> None:
    """Delayed, set aside, paused, behind a dead letter of another process, waiting: and after a restart as well."""

    async def once(sim: Sim) -> None:
        reset()
        await sim.pause("paused")
        await sim.emit(Placed("blocker", "fine"), id="blocker")
        await sim.settle()
        process = await sim.emit(Placed("o1", "fine"), id="o1")
        await sim.settle()
        assert "nothing o1" not in " ".join(DID)
        assert sim.verdict("o1").status == "stuck"
        await sim.control("cancel", process)
        await sim.advance("2h")
        assert sim.verdict("o1").status == "compensated", str(sim.verdict("o1"))
        assert {"-ladder o1", "-calendar o1"} <= set(DID)
        assert len([told for told in sim.emitted(Told) if told.order == "o1"]) == 1, "the reminder is called off"
        assert not [what for what in DID if what.startswith("-") and "blocker" in what]
        assert not [what for what in DID if "nothing" in what]

    async with Sim(ODD) as sim:
        await once(sim)
    assert await Sim(ODD).every_crash(once) > 10


@scene
async def test_a_deadline_that_passes_has_a_process_undone() -> None:
    """What `late=` makes is an outcome in `failed=`: it decides, and is told."""
    reset()
    async with Sim(TIMED) as sim:
        await sim.emit(Placed("o1", "fine"))
        await sim.advance("3h")
        assert str(sim.verdict("o1")) == "compensated: undone.refused"
        assert sim.emitted(Told) == [Told("o1")]
    assert {"+apology o1", "+call o1", "-charge o1", "-shelf o1"} <= set(DID)


@scene
async def test_no_deadline_ends_a_process_that_was_undone_before() -> None:
    reset()
    async with Sim(TIMED) as sim:
        process = await sim.emit(Placed("o1", "fine"))
        await sim.advance("1h")
        await sim.control("cancel", process)
        await sim.advance("3h")
        assert str(sim.verdict("o1")) == "compensated: cancelled by an operator"
        assert sim.emitted(Refused) == []
    assert "+apology o1" not in DID


@scene
async def test_no_deadline_ends_it_whatever_dies_meanwhile() -> None:
    async def once(sim: Sim) -> None:
        reset()
        process = await sim.emit(Placed("o1", "fine"), id="o1")
        await sim.settle()
        await sim.control("cancel", process)
        await sim.advance("3h")
        assert sim.verdict("o1").status == "compensated"
        assert sim.emitted(Refused) == []

    assert await Sim(TIMED).every_crash(once) > 10


@scene
async def test_after_the_point_of_no_return_nothing_is_undone() -> None:
    reset()
    async with Sim(TRAIN) as sim:
        process = await sim.emit(Placed("o1", "derailed"))
        await sim.settle()
        for action in ("cancel", "undo"):
            with pytest.raises(UsageError, match=r"passed its pivot(.|\n)*station.leave went on with depart"):
                await sim.control(action, process)
        await sim.emit(Approved("o1"))
        await sim.settle()
        assert str(sim.verdict("o1")) == "completed (undone.refused)"
        assert sim.calls(depart) == 1
    assert not [what for what in DID if what.startswith("-")]


@scene
async def test_of_a_cancel_and_a_pivot_one_comes_first() -> None:
    """Whatever dies, and however they fall: the train left and nothing is undone, or it did not and all is."""
    seen: set[str] = set()

    async def once(sim: Sim) -> None:
        reset()
        process = await sim.emit(Placed("o1", "fine"), id="o1")
        for _ in range(turns):
            await sim.advance(0)
        try:
            await sim.control("cancel", process)
        except UsageError:
            seen.add("pivoted")
            await sim.settle()
            assert "+depart o1" in DID
            assert not [what for what in DID if what.startswith("-")]
            return
        seen.add("cancelled")
        await sim.settle()
        assert sim.verdict("o1").status == "compensated"
        assert "+depart o1" not in DID
        check("late")

    for turns in (0, 60):
        async with Sim(TRAIN, seed=turns) as sim:
            sim.delay(act, "1s" if turns == 0 else "1ms")
            await once(sim)
    assert seen == {"pivoted", "cancelled"}


@scene
async def test_a_pivot_in_a_process_that_is_undone_never_runs() -> None:
    """Nobody knows whether there is a ticket, and the process is cancelled meanwhile."""
    reset()
    async with Sim(TRAIN) as sim:
        process = await sim.emit(Placed("o1", "slow"))
        await sim.settle()
        assert "+ticket o1" in DID
        await sim.control("cancel", process)
        await sim.advance("10m")
        assert sim.verdict("o1").status == "compensated"
    check("late")
    assert "+depart o1" not in DID


@scene
async def test_what_cannot_be_undone_is_refused_and_says_why() -> None:
    reset()
    async with Sim(FOREVER) as sim:
        process = await sim.emit(Placed("o1", "fine"))
        await sim.settle()
        with pytest.raises(UsageError, match="has not ended"):
            await sim.control("undo", process)
        with pytest.raises(LookupError, match="there is no process"):
            await sim.control("undo", "nobody-1")
    assert not [what for what in DID if what.startswith("-")]


@scene
async def test_a_hundred_services_are_undone_in_a_fifth_of_the_time_of_one_after_the_other() -> None:
    """By the simulated clock, in which only what is waited for takes time: the longest chain counts, not the sum."""
    assert await virtual_s(100) < 100 * UNDO_S / 5
