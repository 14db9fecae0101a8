"""An ask that nobody can answer fails: a new one before it is made, a pending one when the last answerer ends."""

import asyncio
from dataclasses import dataclass

from tests.scenario.played_scene import scene
from tests.scenario.sim_checks import check_accounts

from onstage import App, Process, Request, Service, ask, event, sleep
from onstage.errors import AskFailed
from onstage.testing import Sim


@event("un.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    key: str


@event("un.wanted", key="key")
@dataclass(frozen=True)
class Wanted:
    key: str
    how: str = ""


@event("un.told", key="key")
@dataclass(frozen=True)
class Told:
    key: str
    said: str


def version(answers: str) -> App:
    """A shop that asks for prices: its service "old" answers them, or hears them and says nothing, or is gone."""
    shop, old = Service("shop"), Service("old")

    @shop.on(Wanted, emits=[Told], asks=[Price])
    async def look(e: Wanted) -> Told:
        try:
            return Told(e.key, str(await ask(Price(e.key), timeout="30d")))
        except AskFailed as error:
            return Told(e.key, f"{error.kind}: {error.reason}")

    if answers == "yes":

        @old.answers(name="price")
        async def price(q: Price) -> int:
            await sleep("1h")
            return 7

    elif answers == "no more":

        @old.on(Price, name="price")
        async def hear(q: Price) -> None:
            await sleep("1h")

    order = Process("order", starts=Wanted, done=Told)
    return App(shop, order) if answers == "gone" else App(shop, old, order)


@scene
async def test_a_new_ask_that_nobody_answers_fails_at_once_and_can_be_tried_again() -> None:
    async with Sim(version("gone")) as sim:
        await sim.emit(Wanted("o1"))
        await sim.settle()
        verdict = sim.verdict("o1")
        assert verdict.status == "stuck"
        assert "shop.look asks un.price, which nobody answers" in str(verdict)
        aside = sim.read(lambda reader: reader.executions())[0]
        assert "to do: declare a handler with @service.answers for it" in str(aside.error)
        await sim.deploy(version("yes"))
        assert await sim.operate("retry", "o1") == 1
        await sim.advance("2h")
        assert sim.emitted(Told) == [Told("o1", "7")]


async def changed(sim: Sim) -> None:
    """Asked while somebody answers; the handler that has the request answers nothing any more in its next version."""
    await sim.emit(Wanted("o1"))
    await sim.settle()
    await sim.deploy(version("no more"))
    await sim.advance("59m")
    assert sim.emitted(Told) == []
    await sim.advance("2m")
    said = "unanswered: nothing that it obliges is open any more, and there is no answer"
    assert sim.emitted(Told) == [Told("o1", said)]
    await sim.restart()
    assert sim.outcome("o1") == "Told"
    check_accounts(sim)


def test_a_pending_ask_fails_when_what_has_it_ends_without_a_word_wherever_the_node_dies() -> None:
    assert asyncio.run(Sim(version("yes"), seed=1).every_crash(changed)) >= 5


@scene
async def test_it_fails_within_a_second() -> None:
    async with Sim(version("yes")) as sim:
        await sim.emit(Wanted("o1"))
        await sim.settle()
        await sim.deploy(version("no more"))
        await sim.advance("1h")
        await sim.advance(1)
        assert len(sim.emitted(Told)) == 1


@scene
async def test_an_answerer_that_is_there_is_waited_for() -> None:
    async with Sim(version("yes")) as sim:
        await sim.emit(Wanted("o1"))
        await sim.settle()
        await sim.deploy(version("gone"))
        await sim.advance("20d")
        assert sim.emitted(Told) == []
        await sim.deploy(version("yes"))
        await sim.advance("1h")
        assert sim.emitted(Told) == [Told("o1", "7")]
