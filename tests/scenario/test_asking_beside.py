"""A handler that does not gate asks, and starts children, in processes of their own, and gets its answers."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from tests.scenario.sim_checks import check_accounts, everything

from onstage import App, Request, Service, ask, event, sleep, start
from onstage.events.receipt import Status
from onstage.testing import Sim


@event("beside.seen", key="key")
@dataclass(frozen=True)
class Seen:
    key: str


@event("beside.rated", key="key")
@dataclass(frozen=True)
class Rated:
    key: str
    text: str


@event("beside.rate", key="key")
@dataclass(frozen=True)
class Rate(Request[int]):
    key: str


def office() -> App:
    house = Service("house")

    @house.answers(Rate)
    async def rate(e: Rate) -> int:
        await sleep("1m")
        return len(e.key)

    @house.workflow
    async def child(name: str) -> str:
        await sleep("1m")
        return f"{name} grown"

    @house.on(Seen, gating=False)
    async def look(e: Seen) -> Rated:
        return Rated(e.key, f"{await start(child, e.key)}, {await ask(Rate(e.key))}")

    return App(house)


async def looked(sim: Sim) -> None:
    await sim.emit(Seen("abc"), id="seen")
    for _ in range(3):
        await sim.advance("2m")
    assert [each.text for each in sim.emitted(Rated)] == ["abc grown, 3"]
    _, executions, _ = sim.read(everything)
    assert Counter(view.status for view in executions) == {Status.DONE: 3}
    check_accounts(sim)


def test_the_answer_wakes_who_asked_from_another_process() -> None:
    async def play() -> None:
        async with Sim(office(), seed=3) as sim:
            await looked(sim)

    asyncio.run(play())


def test_and_after_a_crash_at_every_commit() -> None:
    assert asyncio.run(Sim(office(), seed=3).every_crash(looked)) >= 8
