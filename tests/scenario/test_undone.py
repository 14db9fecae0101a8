"""Processes that are undone, through the engine: in which order, how often, what is left alone, whatever dies."""

from __future__ import annotations

import pytest
from tests.scenario.played_scene import scene
from tests.scenario.undone_scenes import (
    APP,
    DID,
    KEYS,
    PLAIN,
    Approved,
    Placed,
    Told,
    act,
    act_or_forget,
    check,
    forgetful,
    lost,
    reset,
    take_back,
)

from onstage.core.commit import event_of
from onstage.events.receipt import Status
from onstage.testing import Sim


@pytest.mark.parametrize("plan", ["refused", "rejected", "late"])
def test_all_that_was_done_is_undone_once_and_after_what_it_caused(plan: str) -> None:
    @scene
    async def play() -> None:
        reset()
        async with Sim(APP) as sim:
            await sim.emit(Placed("o1", plan))
            await sim.settle()
            verdict = sim.verdict("o1")
        check(plan)
        assert verdict.status == "compensated"
        assert verdict.is_final
        assert [len(keys) for keys in KEYS.values()] == [1] * len(KEYS)

    play()


@pytest.mark.parametrize("plan", ["refused", "rejected", "late"])
def test_whatever_dies_on_the_way(plan: str) -> None:
    async def once(sim: Sim) -> None:
        reset()
        await sim.emit(Placed("o1", plan), id="o1")
        await sim.settle()
        assert sim.verdict("o1").status == "compensated"
        check(plan)

    @scene
    async def play() -> None:
        sim = Sim(APP)
        async with sim:
            pass
        assert await Sim(APP).every_crash(once) > 10

    play()


@scene
async def test_the_customer_is_told_and_that_is_not_undone() -> None:
    reset()
    async with Sim(APP) as sim:
        await sim.emit(Placed("o1", "refused"))
        await sim.settle()
        assert sim.emitted(Told) == [Told("o1")]
        assert str(sim.verdict("o1")) == "compensated: undone.refused"
    assert {"+apology o1", "+call o1"} <= set(DID)
    assert "-call o1" not in DID


@scene
async def test_a_process_that_is_not_to_be_undone_keeps_what_was_done() -> None:
    """An outcome ends it, and a rejection undoes the steps of its own execution, in their reverse order."""
    reset()
    async with Sim(PLAIN) as sim:
        await sim.emit(Placed("o1", "refused"))
        await sim.emit(Placed("o2", "rejected"))
        await sim.settle()
        assert sim.outcome("o1") == "Refused"
        assert sim.read(lambda reader: reader.waves()) == []
    assert [what for what in DID if what.startswith("-")] == ["-charge o2"]


@scene
async def test_another_process_is_left_alone() -> None:
    reset()
    async with Sim(APP) as sim:
        await sim.emit(Placed("o1", "refused"))
        await sim.emit(Placed("o2", "fine"))
        await sim.settle()
        await sim.emit(Approved("o2"))
        await sim.settle()
        assert sim.outcome("o2") == "Shipped"
        assert str(sim.verdict("o2")) == "completed (undone.shipped)"
    assert not [what for what in DID if what.startswith("-") and "o2" in what]


@scene
async def test_what_comes_after_the_decision_does_not_begin() -> None:
    """The approval comes when nobody may wait for it any more; what it would have led to is never done."""
    reset()
    async with Sim(APP) as sim:
        await sim.emit(Placed("o1", "refused"))
        await sim.emit(Approved("o1"))
        await sim.settle()
        assert sim.verdict("o1").status == "compensated"
        assert len(sim.emitted(Approved)) == 1
    stamped = [what for what in DID if "stamp" in what]
    assert stamped in ([], ["+stamp o1", "-stamp o1"])


@scene
async def test_an_undo_that_goes_on_failing_is_a_dead_letter_and_goes_on_when_it_is_retried() -> None:
    reset()
    lost.add("charge")
    async with Sim(APP) as sim:
        await sim.emit(Placed("o1", "refused"))
        for _ in range(12):
            await sim.advance("1h")
        verdict = sim.verdict("o1")
        assert verdict.status == "stuck"
        assert any("the undo of act failed" in reason for reason in verdict.reasons)
        assert "-label o1" not in DID
        assert "-quote7 o1" in DID
        lost.clear()
        await sim.operate("retry", "o1")
        await sim.settle()
        assert sim.verdict("o1").status == "compensated"
    check("refused")


@scene
async def test_an_undo_that_is_dropped_is_residue_and_the_rest_proceeds() -> None:
    reset()
    lost.add("charge")
    async with Sim(APP) as sim:
        await sim.emit(Placed("o1", "refused"))
        for _ in range(12):
            await sim.advance("1h")
        aside = sim.read(lambda reader: reader.executions(statuses=(Status.PARKED,)))
        assert [view.handler for view in aside] == ["onstage.undo"]
        assert sim.read(lambda reader: reader.event(event_of(aside[0].id))).type == "onstage.undo"
        await sim.operate("drop", "o1")
        await sim.settle()
        verdict = sim.verdict("o1")
        assert verdict.status == "compensated with residue"
        assert verdict.reasons[1].startswith("payment.charge: onstage.errors.OperationError: the undo of act failed")
    assert "-label o1" in DID
    assert "-charge o1" not in DID


@scene
async def test_a_step_in_doubt_is_brought_to_its_end_under_its_own_key_and_undone() -> None:
    """The node dies after the effect, before its record; the process is decided by another branch."""
    reset()
    async with Sim(APP) as sim:
        await sim.emit(Placed("o1", "doubt"))
        for _ in range(40):
            await sim.advance("10m")
        assert sim.verdict("o1").status == "compensated", str(sim.verdict("o1"))
        assert sim.calls(act) > 0
    assert "-parcel o1" in DID
    assert [what for what in DID if "parcel" in what][-2:] == ["+parcel o1", "-parcel o1"]
    assert set(KEYS["did parcel o1"]) == {KEYS["parcel o1"][0].replace("undo/", "")}


@scene
async def test_an_undo_that_can_do_without_a_result_is_given_none() -> None:
    reset()
    async with Sim(forgetful) as sim:
        await sim.emit(Placed("o1", "doubt"))
        for _ in range(40):
            await sim.advance("10m")
        assert sim.verdict("o1").status == "compensated", str(sim.verdict("o1"))
    assert [what for what in DID if "parcel" in what][-1] == "-parcel o1 in doubt"
    assert act_or_forget.undo is take_back
