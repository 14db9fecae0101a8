"""Asking, and starting workflows, between nodes: each service on a store of its own."""

import asyncio
from dataclasses import dataclass

import pytest
from tests.unit.runtime.playhouse import Clock, Paid, Placed, Refused
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import Process, Reject, Request, Service, ask, event, start, step
from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.errors import AskFailed, UsageError
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.runtime.workers import ThreadWorkers
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers


@event("bank.get-rate", key="id")
@dataclass(frozen=True)
class GetRate(Request[int]):
    id: str


class Asking(Play):
    """A shop that asks a bank, which asks the post, and starts a workflow there."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.shop, self.bank, self.post = Service("shop"), Service("bank"), Service("post")

        @step
        async def look(order: str) -> int:
            self.effects.append(("look", order))
            return 7

        @self.bank.answers
        async def rate(q: GetRate) -> int:
            if fails:
                raise Reject("closed")
            return await look(q.id)

        @self.post.workflow
        async def deliver(order: str) -> str:
            self.effects.append(("deliver", order))
            return f"at {order}"

        @self.shop.on(Placed)
        async def take(e: Placed) -> Paid | Refused:
            try:
                rate = await ask(GetRate(e.id), timeout="1h")
            except AskFailed:
                return Refused(e.id)
            return Paid(e.id, f"{rate} {await start(deliver, e.id)}")

        self.order = Process("order", starts=Placed, done=Paid, failed=Refused, owner=self.shop)


def outputs(troupe: Troupe, name: str) -> list[bytes]:
    return [each.data for each in troupe.messages("evt.") if each.subject.endswith(name)]


def test_a_request_goes_to_the_node_that_answers_and_its_answer_comes_back() -> None:
    async def story() -> None:
        async with touring(play=Asking()) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            assert str(await troupe.verdict(process)) == "completed (shop.paid)"
            assert outputs(troupe, "shop.paid") == [b'{"id":"o1","by":"7 at o1"}']
            assert sorted(troupe.play.effects) == [("deliver", "o1"), ("look", "o1")]
            assert len(outputs(troupe, "onstage.answer/bank.get-rate")) == 1

    asyncio.run(story())


def test_a_rejection_comes_back_as_well() -> None:
    async def story() -> None:
        async with touring(play=Asking(fails=True)) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            assert str(await troupe.verdict(process)) == "completed (shop.refused)"

    asyncio.run(story())


def test_who_asks_waits_for_a_node_that_comes_later_and_restarts_meanwhile() -> None:
    async def story() -> None:
        async with touring("shop", "post", play=Asking()) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            await troupe.until(lambda: len(outputs(troupe, ".bank.get-rate")) == 1)
            await troupe.end("shop")
            await troupe.begin("bank")
            await troupe.until(lambda: len(outputs(troupe, "onstage.answer/bank.get-rate")) == 1)
            await troupe.begin("shop")
            assert str(await troupe.verdict(process)) == "completed (shop.paid)"
            assert len(outputs(troupe, ".bank.get-rate")) == 1

    asyncio.run(story())


def test_what_nobody_answers_is_refused_at_every_node() -> None:
    async def story() -> None:
        async with touring(play=Asking()) as troupe:
            start_ = {"type": "shop.placed", "data": b'{"id":"o1"}', "id": "1", "source": None}
            for node in troupe.nodes.values():
                with pytest.raises(UsageError, match=r"nobody answers shop.placed"):
                    await LocalWays(node).begin(start_ | {"key": None, "timeout_s": None})

    asyncio.run(story())


def test_a_second_service_that_answers_is_refused_at_its_start() -> None:
    other = Service("other")

    @other.answers
    async def rate(q: GetRate) -> int:
        return 8

    async def story() -> None:
        clock, log = Clock(), EmbeddedLog()
        troupe = Troupe(Asking(), log, clock)
        await troupe.begin("bank")
        store = MemoryStore(clock=clock, workers=InlineWorkers())
        broker = EmbeddedBroker(log)
        second = Node([other], [], store=store, clock=clock, workers=ThreadWorkers(), broker=broker, hosted=["other"])
        with pytest.raises(UsageError, match=r"bank.rate and other.rate both answer bank.get-rate"):
            await second.start()
        await second.close(grace_s=0)
        await troupe.close()

    asyncio.run(story())
