"""Waits for what can never happen fail at once, once, and never while it still can."""

import pytest
from tests.scenario.hopeless_scenes import (
    Approved,
    Checked,
    GivenUp,
    Paid,
    Placed,
    Shipped,
    hoping,
    insisting,
    note,
    shop,
)
from tests.scenario.played_scene import scene

from onstage.testing import Sim


@scene
async def test_a_wait_whose_last_producer_has_finished_fails_at_once() -> None:
    async with Sim(shop) as sim:
        await sim.emit(Placed("o1"))
        await sim.settle()
        await sim.advance(0.9)
        assert sim.emitted(GivenUp) == [GivenUp("o1", "never")]
        assert sim.outcome("o1") == "GivenUp"
        assert "waited for what will never happen" in sim.history("o1")


WAYS = {"slow": "2h", "later": "2h", "by another": "1h", "by a child": "1h", "pays": "1s"}


@pytest.mark.parametrize("way", WAYS)
def test_it_waits_while_somebody_can_still_lead_to_it(way: str) -> None:
    @scene
    async def played() -> None:
        async with Sim(shop) as sim:
            await sim.emit(Placed("o1", way))
            await sim.settle()
            await sim.advance(WAYS[way])
            await sim.advance("1s")
            assert sim.emitted(GivenUp) == []
            assert sim.outcome("o1") == "Shipped"

    played()


@scene
async def test_what_is_external_can_always_happen() -> None:
    async with Sim(shop) as sim:
        await sim.emit(Placed("o1", "approve"))
        await sim.advance("1h")
        assert sim.verdict("o1").status == "waiting"
        await sim.emit(Approved("o1"))
        await sim.settle()
        assert sim.outcome("o1") == "Shipped"


@scene
async def test_a_dead_letter_may_be_retried_so_it_is_no_end() -> None:
    async with Sim(shop) as sim:
        await sim.emit(Placed("o1", "fails"))
        await sim.settle()
        await sim.advance("4h")
        assert sim.emitted(GivenUp) == []
        assert await sim.operate("drop", "o1") == 1
        await sim.advance("1s")
        assert sim.emitted(GivenUp) == [GivenUp("o1", "never")]


@scene
async def test_what_one_may_still_emit_oneself_counts() -> None:
    async with Sim(insisting) as sim:
        await sim.emit(Placed("o1"))
        await sim.advance("1h")
        assert sim.verdict("o1").status == "waiting"


@scene
async def test_a_branch_is_told_as_well() -> None:
    async with Sim(shop) as sim:
        await sim.emit(Placed("o1", "two"))
        await sim.settle()
        await sim.advance("61s")
        assert sim.emitted(GivenUp) == [GivenUp("o1", "never")]


@scene
async def test_whoever_does_not_expect_it_is_set_aside_at_once_and_says_why() -> None:
    async with Sim(hoping) as sim:
        await sim.emit(Placed("o1"))
        await sim.settle()
        verdict = sim.verdict("o1")
        assert verdict.status == "stuck"
        assert "h.checked will never happen: nothing that is open in this process can lead to it" in str(verdict)
        await sim.emit(Placed("o2", "rich"))
        await sim.settle()
        assert (sim.outcome("o2"), len(sim.emitted(Checked))) == ("Shipped", 1)


async def story(sim: Sim) -> None:
    """Given up, with one note, whatever dies."""
    await sim.emit(Placed("o1"))
    await sim.settle()
    await sim.restart()
    await sim.advance("1s")
    assert sim.emitted(GivenUp) == [GivenUp("o1", "never")]
    assert sim.outcome("o1") == "GivenUp"
    assert sim.emitted(Paid) == sim.emitted(Shipped) == []


@scene
async def test_a_crash_at_any_commit_changes_nothing_of_it() -> None:
    assert await Sim(shop).every_crash(story) >= 5


@scene
async def test_it_is_an_entry_of_the_journal_and_replayed() -> None:
    async with Sim(shop) as sim:
        await sim.emit(Placed("o1", "sleepy"))
        await sim.advance("1m")
        await sim.restart()
        assert sim.emitted(GivenUp) == []
        await sim.emit(Paid("o1"))  # too late: it was told, and replay tells it again
        await sim.advance("10m")
        assert sim.calls(note) == 1
        assert sim.emitted(GivenUp) == [GivenUp("o1", "never")]
