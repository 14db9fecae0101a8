"""Processes that are undone and watched: what is told of them, what is late, and what is not any more."""

from __future__ import annotations

from contextlib import suppress

from tests.scenario.played_scene import scene
from tests.scenario.undone_scenes import (
    DID,
    Approved,
    Placed,
    Refused,
    Shipped,
    desk,
    idle,
    lost,
    payment,
    pricing,
    reset,
    shipping,
    stock,
    take_back,
)

from onstage import App, Process, Service, step
from onstage.testing import Sim
from onstage.verdicts import (
    ProcessCompensated,
    ProcessCompleted,
    ProcessDeadEnd,
    ProcessOverdue,
    ProcessReopened,
    ProcessStuck,
)

HEARD: list[str] = []
herald = Service("herald")


@herald.on(ProcessCompleted, ProcessDeadEnd, ProcessReopened, ProcessOverdue, ProcessStuck, ProcessCompensated)
async def hear(
    e: ProcessCompleted | ProcessDeadEnd | ProcessReopened | ProcessOverdue | ProcessStuck | ProcessCompensated,
) -> None:
    HEARD.append(type(e).__name__)


def watched(*services: Service) -> App:
    order = Process(
        "undone-order",
        starts=Placed,
        done=Shipped,
        failed=Refused,
        external=[Approved],
        within={Shipped: "1h"},
        deadline="3h",
        undo=True,
    )
    return App(*services, herald, order)


bank = Service("bank")


class Declined(Exception):
    """The bank says no."""


@step(undo=take_back, give_up_on=[Declined])
async def draw(what: str, order: str) -> str:
    """Something that could be undone, had it been done."""
    raise Declined(what)


@bank.on(Placed)
async def decline(e: Placed) -> Refused:
    with suppress(Declined):
        await draw("loan", e.order)
    return Refused(e.order)


SHOP = watched(stock, payment, shipping, pricing, desk)
IDLE = watched(stock, payment, idle, pricing, desk)


async def told(sim: Sim, plan: str) -> str:
    reset()
    HEARD.clear()
    return await sim.emit(Placed("o1", plan), id="o1")


@scene
async def test_of_an_outcome_that_undoes_nothing_is_told_but_that_it_is_undone() -> None:
    """By whatever dies: not that it is completed, nor that it ended without an outcome."""

    async def once(sim: Sim) -> None:
        await told(sim, "refused")
        await sim.advance("1m")
        assert sim.verdict("o1").status == "compensated"
        assert set(HEARD) == {"ProcessCompensated"}
        await sim.advance("4h")
        assert set(HEARD) == {"ProcessCompensated"}
        assert sim.verdict("o1").status == "compensated"

    async with Sim(SHOP) as sim:
        await once(sim)
        assert HEARD == ["ProcessCompensated"]
    assert await Sim(SHOP).every_crash(once) > 10


@scene
async def test_of_an_undo_by_hand_its_end_before_and_its_undoing_are_told_and_nothing_between() -> None:
    async with Sim(SHOP) as sim:
        process = await told(sim, "plain")
        await sim.advance("1m")
        assert HEARD == ["ProcessCompleted"]
        await sim.control("undo", process)
        await sim.advance("4h")
        assert HEARD == ["ProcessCompleted", "ProcessCompensated"]
        assert [what for what in DID if what.startswith("-van")]


@scene
async def test_what_was_late_before_is_told_and_nothing_is_late_after() -> None:
    async with Sim(IDLE) as sim:
        process = await told(sim, "fine")
        await sim.advance("2h")
        assert HEARD == ["ProcessOverdue"]
        assert sim.verdict("o1").status == "stuck"
        await sim.control("cancel", process)
        await sim.advance("4h")
        assert HEARD == ["ProcessOverdue", "ProcessCompensated"]
        assert str(sim.verdict("o1")) == "compensated: cancelled by an operator"


@scene
async def test_a_milestone_is_not_missed_while_a_process_is_undone() -> None:
    """An undo waits for hours: that is told when it is stuck, and what was promised of the process is not any more."""
    async with Sim(IDLE) as sim:
        process = await told(sim, "fine")
        await sim.settle()
        lost.add("charge")
        await sim.control("cancel", process)
        await sim.advance("2d")
        assert HEARD == ["ProcessStuck"]
        assert sim.verdict("o1").status == "stuck"
        assert not any("overdue" in reason for reason in sim.verdict("o1").reasons)
        lost.clear()
        await sim.operate("retry", "o1")
        await sim.advance("1h")
        assert HEARD == ["ProcessStuck", "ProcessCompensated"]
        assert sim.verdict("o1").status == "compensated"


@scene
async def test_where_nothing_was_to_be_undone_the_end_is_told_as_ever() -> None:
    """A step that could be undone was declined; nothing else was done that could be."""

    async def once(sim: Sim) -> None:
        await told(sim, "plain")
        await sim.advance("1m")
        assert sim.verdict("o1").status == "completed"
        assert set(HEARD) == {"ProcessCompleted"}

    app = watched(bank)
    async with Sim(app) as sim:
        await once(sim)
        assert HEARD == ["ProcessCompleted"]
    assert await Sim(app).every_crash(once) > 5
