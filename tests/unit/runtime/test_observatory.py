"""An observer at work: verdicts for who asks, and a store that is opened anew when a topology has new names."""

import asyncio

import msgspec
from tests.unit.runtime.playhouse import PATIENCE_S, Placed
from tests.unit.runtime.test_hopeless_apart import AskingPlay, Rate
from tests.unit.runtime.troupe import Troupe, touring

from onstage.brokers.embedded import EmbeddedBroker
from onstage.events.delayed import LATER
from onstage.events.undoing_told import UNDO
from onstage.observe.verdict import Verdict
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.observatory import Question, verdict_subject
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers


async def asked(troupe: Troupe, body: bytes) -> Verdict | None:
    broker = EmbeddedBroker(troupe.log)
    await broker.open()
    answer = await broker.ask(verdict_subject("onstage"), body, timeout_s=2.0)
    await broker.close()
    return msgspec.json.decode(answer, type=Verdict | None)


def test_whoever_asks_over_the_broker_gets_the_verdict() -> None:
    async def story() -> None:
        async with touring() as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            verdict = await troupe.verdict(process)
            assert await asked(troupe, msgspec.json.encode(Question(process))) == verdict
            assert await asked(troupe, msgspec.json.encode(Question("nothing"))) is None
            assert await asked(troupe, b"{") is None

    asyncio.run(story())


def test_a_client_finds_its_process_whichever_copy_the_owner_admitted() -> None:
    async def story() -> None:
        async with touring() as troupe:
            first = await troupe.emit("shop", Placed("o1"), id="one")
            again = await troupe.emit("post", Placed("o1"), id="one")
            other = await troupe.emit("bank", Placed("o2"))
            assert again != first
            assert (await troupe.verdict(again)).outcome == "shop.paid"
            assert (await troupe.verdict(other)).outcome == "shop.paid"
            assert troupe.play.effects.count(("charge", "o1")) == 1

    asyncio.run(story())


def test_an_observer_thrown_away_says_the_same() -> None:
    async def story() -> None:
        async with touring() as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            verdict = await troupe.verdict(process)
            assert troupe.observatory is not None
            await troupe.observatory.close()
            troupe.watching = MemoryStore(clock=troupe.clock, workers=InlineWorkers())
            await troupe.observe()
            assert await troupe.verdict(process) == verdict

    asyncio.run(story())


def test_an_observer_that_came_first_learns_the_names_later() -> None:
    async def story() -> None:
        async with touring("post") as troupe:
            assert troupe.observatory is not None
            await troupe.observatory.close()
            troupe.log.values.clear()
            troupe.watching = MemoryStore(clock=troupe.clock, workers=InlineWorkers())
            await troupe.observe()
            assert troupe.observatory.observer._handlers.keys() == {LATER, UNDO}  # noqa: SLF001
            await troupe.begin("shop", "bank")
            process = await troupe.emit("shop", Placed("o1"))
            assert (await troupe.verdict(process)).outcome == "shop.paid"

    asyncio.run(story())


def test_a_request_from_outside_that_was_answered_is_no_event_without_a_handler() -> None:
    async def story() -> None:
        play = AskingPlay(answers=True)
        async with touring(play=play) as troupe:
            for at in ("shop", "bank"):
                node = troupe.nodes[at]
                ways, known = LocalWays(node), node.routes_by_class[Rate].type
                start = {"type": known.name, "data": known.encode(Rate(at)), "id": None, "source": None, "key": None}
                name = await ways.begin(start | {"timeout_s": None})
                assert await ways.answer(name, PATIENCE_S, known.name) is not None
                assert str(await troupe.verdict(name)) == "dead end: shop.rated: answered, and nothing followed"

    asyncio.run(story())
