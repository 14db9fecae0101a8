"""That a process is stuck is told also when nothing was set aside: its handler is gone, or a lane goes in a circle."""

import asyncio
from dataclasses import dataclass

from tests.scenario.played_scene import scene
from tests.scenario.sim_checks import check_accounts

from onstage import App, Process, Request, Service, ask, event, sleep
from onstage.testing import Sim
from onstage.verdicts import ProcessStuck


@event("snag.begun", key="key")
@dataclass(frozen=True)
class Begun:
    key: str


@event("snag.over", key="key")
@dataclass(frozen=True)
class Over:
    key: str


@event("snag.told")
@dataclass(frozen=True)
class Told:
    number: int
    reason: str


@event("snag.again", key="key")
@dataclass(frozen=True)
class Again(Request[int]):
    key: str
    depth: int = 0


def version(*, works: bool, declared: bool = True) -> App:
    """A service that takes an hour, if it is there, and somebody who is told what is stuck."""
    works_on, desk = Service("work"), Service("desk")

    @desk.on(ProcessStuck)
    async def tell(e: ProcessStuck) -> Told:
        return Told(e.number, e.reason)

    if works:

        @works_on.on(Begun)
        async def work(e: Begun) -> Over:
            await sleep("1h")
            return Over(e.key)

    else:

        @works_on.on(Over)
        async def file(e: Over) -> None: ...

    order = Process("order", starts=Begun, done=Over)
    return App(works_on, desk, order) if declared else App(works_on, desk)


GONE = "work.work: no live node has this handler"


async def gone(sim: Sim) -> None:
    """Its handler goes with one version and comes back with the next."""
    await sim.emit(Begun("o1"))
    await sim.settle()
    await sim.deploy(version(works=False))
    await sim.settle()
    await sim.advance(1)
    assert sim.verdict("o1").status == "stuck"
    assert sim.emitted(Told) == [Told(1, GONE)]
    await sim.restart()
    await sim.advance("1d")
    assert len(sim.emitted(Told)) == 1
    await sim.deploy(version(works=True))
    await sim.advance("2h")
    assert sim.outcome("o1") == "Over"
    assert sim.emitted(Told) == [Told(1, GONE)]
    check_accounts(sim)


def test_a_handler_that_no_node_has_is_told_once_wherever_the_node_dies() -> None:
    assert asyncio.run(Sim(version(works=True), seed=1).every_crash(gone)) >= 5


@scene
async def test_it_is_told_of_what_nobody_declares_and_again_if_it_goes_again() -> None:
    async with Sim(version(works=True, declared=False)) as sim:
        await sim.emit(Begun("o1"))
        await sim.settle()
        for number in (1, 2):
            await sim.deploy(version(works=False, declared=False))
            await sim.advance(1)
            assert sim.emitted(Told)[-1] == Told(number, GONE)
            await sim.deploy(version(works=True, declared=False))
            await sim.advance(1)
        assert len(sim.emitted(Told)) == 2


def circle() -> App:
    """A service that asks itself, with the same key."""
    works_on, desk = Service("work"), Service("desk")

    @works_on.answers(asks=[Again])
    async def again(q: Again) -> int:
        return q.depth or await ask(Again(q.key, 1), timeout="1h")

    @desk.on(ProcessStuck)
    async def tell(e: ProcessStuck) -> Told:
        return Told(e.number, e.reason)

    return App(works_on, desk)


async def cycle(sim: Sim) -> None:
    """The one that asks holds the lane that the other one needs, until it gives up."""
    await sim.ask(Again("o1"), id="q")
    await sim.advance(1)
    told = sim.emitted(Told)
    assert [each.number for each in told] == [1]
    assert (
        told[0].reason == "work.again: it is behind an execution that it comes from, which waits for it (a lane cycle)"
    )
    assert sim.verdict("o1").status == "stuck"
    await sim.restart()
    await sim.advance("30m")
    assert len(sim.emitted(Told)) == 1


def test_a_lane_cycle_is_told_within_a_second_wherever_the_node_dies() -> None:
    assert asyncio.run(Sim(circle(), seed=1).every_crash(cycle)) >= 3
