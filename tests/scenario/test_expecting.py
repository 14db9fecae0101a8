"""Expectations in a simulated world and in a store: each rule that is broken is told once, whatever dies on the way."""

import pytest
from tests.scenario.expecting_scenes import (
    BEFORE,
    LEADS,
    NEVER,
    ONCE,
    AlertSent,
    Approved,
    OrderPlaced,
    OrderShipped,
    order,
    payment,
    shipping,
    shop,
)
from tests.scenario.played_scene import scene

from onstage import App
from onstage.expectations import before, every, expect
from onstage.testing import Sim


@scene
async def test_a_process_that_does_as_expected_is_left_alone() -> None:
    async with Sim(shop) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.settle()
        await sim.advance("4h")
        assert sim.emitted(AlertSent) == []
        assert str(sim.verdict("o1")) == "completed (order-shipped)"


@scene
async def test_a_violation_fails_the_test_and_says_which_rule_where_and_why() -> None:
    async with Sim(shop) as sim:
        await sim.emit(OrderPlaced("o1", "ships unpaid"))
        with pytest.raises(AssertionError) as raised:
            await sim.settle()
        first, why, mend = str(raised.value).splitlines()
        assert first == f"{BEFORE.where}: order o1 violates before(OrderPaid, OrderShipped)"
        assert "expecting_scenes.py:" in first
        assert why.startswith("  why: order-shipped came without order-paid before it (order-shipped at ")
        assert mend.startswith("  to do: ")
        await sim.settle()  # it was said


@scene
async def test_what_nobody_settled_is_judged_at_the_end_of_the_world() -> None:
    sim = await Sim(shop).__aenter__()
    await sim.emit(OrderPlaced("o1", "ships unpaid"))
    await sim._do(sim._world.settle)  # noqa: SLF001 - as if time had passed by itself
    with pytest.raises(AssertionError, match=r"violates before\(OrderPaid, OrderShipped\)"):
        await sim.__aexit__(None, None, None)


BROKEN = {"ships unpaid": BEFORE, "both": NEVER, "pays twice": ONCE, "forgotten": LEADS}


@pytest.mark.parametrize("way", BROKEN)
def test_each_rule_is_told_once_whatever_dies(way: str) -> None:
    text = BROKEN[way].rule.text

    async def story(sim: Sim) -> None:
        await sim.emit(OrderPlaced("o1", way))
        with pytest.raises(AssertionError, match="violates"):
            await sim.settle()
        assert sim.emitted(AlertSent) == [AlertSent(text, 1, "o1")]
        violated = sim.verdict("o1").violated
        assert [each.rule for each in violated] == [text]
        await sim.advance("4h")
        assert len(sim.emitted(AlertSent)) == 1

    @scene
    async def played() -> None:
        assert await Sim(shop).every_crash(story) >= 5

    played()


@scene
async def test_what_is_late_is_told_within_a_second_and_once() -> None:
    async with Sim(shop) as sim:
        await sim.emit(OrderPlaced("o1", "needs approval"))
        await sim.advance(3 * 3_600 - 1)
        assert sim.emitted(AlertSent) == []
        with pytest.raises(AssertionError, match=r"order-shipped or order-cancelled did not come within 10800 s"):
            await sim.advance(2)
        assert [alert.rule for alert in sim.emitted(AlertSent)] == [LEADS.rule.text]
        verdict = sim.verdict("o1")
        assert verdict.status == "waiting"
        assert verdict.reasons[-1].startswith(f"violates {LEADS.rule.text}: ")
        await sim.emit(Approved("o1"))
        await sim.settle()
        assert len(sim.emitted(AlertSent)) == 1
        assert sim.verdict("o1").status == "completed"


@scene
async def test_a_process_is_judged_by_the_rules_that_it_began_with() -> None:
    async with Sim(App(payment, shipping, order, expect("order", before(OrderPlaced, Approved)))) as sim:
        await sim.emit(OrderPlaced("o1", "needs approval"))
        await sim.settle()
        await sim.deploy(
            App(payment, shipping, order, expect("order", every(Approved).is_next_followed_by(OrderShipped)))
        )
        await sim.emit(Approved("o1"))
        await sim.settle()
        await sim.emit(OrderPlaced("o2", "needs approval"))
        await sim.settle()
        await sim.emit(Approved("o2"))
        with pytest.raises(AssertionError, match="order o2 violates every"):
            await sim.settle()


@scene
async def test_nothing_is_watched_where_nothing_is_expected() -> None:
    async with Sim(App(payment, shipping, order)) as sim:
        assert sim._world.node.monitor is None  # noqa: SLF001 - that nothing runs is not to be seen from outside
    async with Sim(App(payment, shipping, order, expect(order, BEFORE))) as sim:
        assert sim._world.node.monitor is not None  # noqa: SLF001
