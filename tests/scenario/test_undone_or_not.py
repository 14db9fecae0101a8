"""Whether a process is undone: what asks for it and what can be undone come in either order, or one of them never."""

from __future__ import annotations

import pytest
from tests.scenario.played_scene import scene
from tests.scenario.undone_scenes import DID, KEYS, Approved, Placed, Rate, Refused, Shipped, Told, act, reset

from onstage import App, Process, Reject, Service, ask, step, wait
from onstage.core.undoing import NOTHING, UNDO
from onstage.errors import AskFailed
from onstage.testing import Sim
from onstage.verdicts import ProcessCompensated


class Declined(Exception):
    """The bank says no."""


def refund(charge: str, order: str) -> None:
    DID.append(f"-charge {order}")


@step(undo=refund, give_up_on=[Declined])
async def charge(order: str) -> str:
    """Has an undo, and is never done."""
    raise Declined(order)


@step
async def call(order: str) -> None:
    """Cannot be undone."""
    DID.append(f"+call {order}")


desk, back, press, pricing = Service("desk"), Service("back"), Service("press"), Service("pricing")
HEARD: list[str] = []


@desk.on(Placed)
async def decide(e: Placed) -> Refused | Shipped:
    if e.plan == "rejected":
        raise Reject("not today")
    if e.plan == "declined":
        try:
            await charge(e.order)
        except Declined:
            return Refused(e.order)
    return Refused(e.order)


@back.on(Placed)
async def polish(e: Placed) -> None:
    """Beside it: does something once somebody has approved."""
    if e.plan == "declined":
        return
    await wait(Approved)
    await call(e.order)
    if e.plan != "harmless":
        await act("polish", e.order)


@press.on(Refused)
async def tell(e: Refused) -> Told:
    await call(e.order)
    return Told(e.order)


@press.on(ProcessCompensated)
async def hear(e: ProcessCompensated) -> None:
    HEARD.append(e.reason)


haggler = Service("haggler")


@haggler.on(Approved)
async def haggle(e: Approved) -> Refused | Shipped:
    """Asks, and goes on although it is refused."""
    await act("paper", e.order)
    try:
        await ask(Rate(e.order))
    except AskFailed as error:
        DID.append(f"{error.kind}: {error.reason}")
    return Shipped(e.order)


@pricing.answers(Rate)
async def refuse(e: Rate) -> int:
    await act("quote", e.order)
    raise Reject("no price")


bazaar = App(haggler, pricing, Process("bazaar", starts=Approved, done=Shipped))
order = Process("or-not", starts=Placed, done=Shipped, failed=Refused, external=[Approved])
APP = App(desk, back, press, order)


async def played(sim: Sim, plan: str) -> None:
    """What asks for it has been, long before what could be undone."""
    reset()
    HEARD.clear()
    await sim.emit(Placed("o1", plan), id="o1")
    await sim.settle()
    if sim.verdict("o1").status == "waiting":
        await sim.emit(Approved("o1"), id="a1")
        await sim.settle()


@scene
async def test_where_nothing_can_be_undone_an_outcome_is_an_outcome_and_nothing_is_stopped() -> None:
    async with Sim(APP) as sim:
        await played(sim, "harmless")
        assert str(sim.verdict("o1")) == "completed (undone.refused)"
        assert sim.read(lambda reader: reader.waves()) == []
    assert DID == ["+call o1", "+call o1"]


@scene
async def test_where_nothing_can_be_undone_a_rejection_is_a_dead_end() -> None:
    """As it would be if the process were not to be undone; what runs beside it goes on."""
    app = App(desk, press, order)
    async with Sim(app) as sim:
        await played(sim, "rejected")
        assert "desk.decide rejected it: not today" in str(sim.verdict("o1"))
        assert sim.verdict("o1").status == "dead end"
        assert sim.read(lambda reader: reader.waves()) == []


@pytest.mark.parametrize(("plan", "why"), [("", "undone.refused"), ("rejected", "a handler rejected")])
def test_what_is_done_later_is_undone(plan: str, why: str) -> None:
    @scene
    async def play() -> None:
        async with Sim(APP) as sim:
            await played(sim, plan)
            assert str(sim.verdict("o1")) == f"compensated: {why}"
            assert len(HEARD) == 1
            assert why in HEARD
        assert [what for what in DID if "polish" in what] in ([], ["+polish o1", "-polish o1"])

    play()


@pytest.mark.parametrize("plan", ["", "rejected", "declined", "harmless"])
def test_whatever_dies_on_the_way(plan: str) -> None:
    ends = {"": "compensated", "rejected": "compensated"}

    async def once(sim: Sim) -> None:
        await played(sim, plan)
        assert sim.verdict("o1").status == ends.get(plan, "completed")
        assert ("-polish o1" in DID) == ("+polish o1" in DID)
        assert len(set(KEYS.get("polish o1", ()))) <= 1, "each attempt at an undo has the same key"
        assert len(sim.emitted(Told)) == (plan != "rejected")

    @scene
    async def play() -> None:
        assert await Sim(APP).every_crash(once) > 5

    play()


@scene
async def test_after_a_restart_it_is_known_what_follows_from_the_outcome() -> None:
    """The customer is told only after the restart, and that is not stopped by what is undone then."""
    async with Sim(APP) as sim:
        reset()
        await sim.pause("press")
        await sim.emit(Placed("o1"), id="o1")
        await sim.settle()
        await sim.restart()
        await sim.emit(Approved("o1"), id="a1")
        await sim.settle()
        assert sim.verdict("o1").status == "compensating"
        assert "-polish o1" in DID
        await sim.resume("press")
        await sim.settle()
        assert str(sim.verdict("o1")) == "compensated: undone.refused"
        assert sim.emitted(Told) == [Told("o1")]


@scene
async def test_a_step_that_was_begun_and_never_done_leaves_nothing_to_undo() -> None:
    """It ends as its outcome says, tells nobody that it was undone, and is shown as an ended process."""
    async with Sim(APP) as sim:
        await played(sim, "declined")
        assert str(sim.verdict("o1")) == "completed (undone.refused)"
        assert [row.state for row in sim.read(lambda reader: reader.waves())] == [NOTHING]
        number = sim.read(lambda reader: reader.processes(key="o1"))[0].id
        events = sim.read(lambda reader: reader.events(process=number))
        assert UNDO not in {event.type for event in events}
        process = sim.read(lambda reader: reader.processes(key="o1"))[0].wire_id
        assert "nothing of it is to be undone" in await sim.control("undo", process)
    assert HEARD == []
    assert "-charge o1" not in DID


@scene
async def test_what_a_request_is_answered_with_is_no_end_of_its_process() -> None:
    """The one who answers undoes its own steps, and the one who asked decides what becomes of it."""
    async with Sim(bazaar) as sim:
        reset()
        await sim.emit(Approved("o1"))
        await sim.settle()
        assert str(sim.verdict("o1")) == "completed (undone.shipped)"
    assert DID == ["+paper o1", "+quote o1", "-quote o1", "rejected: no price"]
