"""Waits in vain where services run apart: an observer finds them, and the store of whoever waits believes it or not."""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from tests.unit.runtime.playhouse import PATIENCE_S, Approved, Paid, Placed, Refused
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import Process, Request, Service, ask, event, wait
from onstage.core.commit import execution_id
from onstage.errors import AskFailed, WillNeverHappen
from onstage.runtime import hopeless_apart
from onstage.runtime.hopeless_apart import InVain, believe


@event("shop.rated", key="id")
@dataclass(frozen=True)
class Rate(Request[int]):
    id: str


class WaitingPlay(Play):
    """A shop that waits for a payment; the bank pays, or says nothing. Which one, the order's id says."""

    def __init__(self) -> None:
        super().__init__()
        self.shop, self.bank, self.audit = Service("shop"), Service("bank"), Service("audit")

        @self.shop.on(Placed)
        async def review(e: Placed) -> Refused | None:
            try:
                await wait(Paid)
            except WillNeverHappen:
                return Refused(e.id)
            return None

        @self.audit.on(Placed)
        async def pass_on(e: Placed) -> Approved | None:
            return None if e.id == "nothing" else Approved(e.id)

        @self.bank.on(Approved)
        async def take(e: Approved) -> Paid | None:
            return Paid(e.id) if e.id == "pays" else None

        self.order = Process("order", starts=Placed, done=Paid, failed=Refused, owner=self.shop)

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.shop, self.bank, self.audit)


@pytest.mark.parametrize(
    ("way", "outcome"), [("nothing", "shop.refused"), ("silent", "shop.refused"), ("pays", "shop.paid")]
)
def test_a_wait_whose_last_producer_elsewhere_has_finished_fails_at_once(way: str, outcome: str) -> None:
    async def story() -> None:
        async with touring(play=WaitingPlay()) as troupe:
            assert (await troupe.verdict(await troupe.emit("shop", Placed(way)))).outcome == outcome

    asyncio.run(story())


def test_it_waits_while_somebody_who_is_down_can_still_lead_to_it() -> None:
    async def story() -> None:
        async with touring(play=WaitingPlay()) as troupe:
            await troupe.end("bank")
            process = await troupe.emit("shop", Placed("pays"))
            await asyncio.sleep(0.5)
            assert troupe.messages("ctl.") == []
            await troupe.begin("bank")
            assert (await troupe.verdict(process)).outcome == "shop.paid"

    asyncio.run(story())


def test_whoever_waits_is_told_again_when_it_was_down_or_the_log_has_lost_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hopeless_apart, "AGAIN_S", 0.1)

    async def story() -> None:
        async with touring(play=WaitingPlay()) as troupe:
            await troupe.end("audit")
            process = await troupe.emit("shop", Placed("nothing"))
            await until_waiting(troupe)
            await troupe.end("shop")
            await troupe.begin("audit")
            await troupe.until(lambda: bool(troupe.messages("ctl.")))
            for message in troupe.messages("ctl."):
                troupe.log.drop(message.seq)
            await troupe.begin("shop")
            assert (await troupe.verdict(process)).outcome == "shop.refused"

    asyncio.run(story())


def test_an_observer_that_begins_anew_looks_at_all_who_wait() -> None:
    async def story() -> None:
        async with touring(play=WaitingPlay()) as troupe:
            assert troupe.observatory is not None
            await troupe.end("audit")
            process = await troupe.emit("shop", Placed("nothing"))
            await until_waiting(troupe)
            await troupe.observatory.close()
            await troupe.begin("audit")
            await troupe.observe()
            assert (await troupe.verdict(process)).outcome == "shop.refused"

    asyncio.run(story())


async def until_waiting(troupe: Troupe) -> None:
    async def waiting() -> list[Any]:
        return await troupe.watching.reader.executions(statuses=[2])

    async with asyncio.timeout(PATIENCE_S):
        while not await waiting():  # noqa: ASYNC110  several nodes at work
            await asyncio.sleep(0.01)


def test_what_does_not_fit_is_not_believed() -> None:
    async def story() -> None:
        async with touring(play=WaitingPlay()) as troupe:
            await troupe.end("audit")
            process = await troupe.emit("shop", Placed("nothing"))
            await until_waiting(troupe)
            node = troupe.nodes["shop"]
            (delivery,) = node.open.values()
            stored = await node.store.reader.execution(execution_id(delivery.n, delivery.reaction.number))
            assert stored is not None
            encode, ended = msgspec.msgpack.encode, stored.execution.ended
            true = InVain(process, "shop.review", ended, ("shop.paid",))
            for said in (
                b"\xff",
                encode(InVain("another-1", "shop.review", ended, ("shop.paid",))),
                encode(InVain(process, "shop.gone", ended, ("shop.paid",))),
                encode(InVain(process, "shop.review", ended + 1, ("shop.paid",))),
                encode(InVain(process, "shop.review", ended, ("shop.paid",), ("on-its-way-7",))),
                encode(InVain(process, "shop.review", ended, (), (), ("another-1",))),
            ):
                await believe(node, said)
                assert delivery.hopeless is None
            await believe(node, encode(true))
            assert delivery.hopeless is not None
            await troupe.begin("audit")
            assert (await troupe.verdict(process)).outcome == "shop.refused"

    asyncio.run(story())


class AskingPlay(WaitingPlay):
    """A shop that asks the bank, which has the request and answers nothing any more."""

    def __init__(self, *, answers: bool) -> None:
        super().__init__()
        self.shop, self.bank = Service("shop"), Service("bank")

        @self.shop.on(Placed, asks=[Rate])
        async def review(e: Placed) -> Paid | Refused:
            try:
                return Paid(e.id, str(await ask(Rate(e.id))))
            except AskFailed as error:
                return Refused(f"{e.id} {error.kind}")

        if answers:

            @self.bank.answers(name="rate")
            async def rate(q: Rate) -> int:
                return 1

        else:

            @self.bank.on(Rate, name="rate")
            async def hear(q: Rate) -> None: ...

        self.order = Process("order", starts=Placed, done=Paid, failed=Refused, owner=self.shop)


def test_an_ask_that_nobody_elsewhere_answers_any_more_fails() -> None:
    async def story() -> None:
        async with touring(play=AskingPlay(answers=True)) as troupe:
            assert (await troupe.verdict(await troupe.emit("shop", Placed("o1")))).outcome == "shop.paid"
            await troupe.end("bank")
            process = await troupe.emit("shop", Placed("o2"))
            await until_waiting(troupe)
            troupe.play = AskingPlay(answers=False)
            await troupe.begin("bank")
            assert (await troupe.verdict(process)).outcome == "shop.refused"
            (refused,) = await troupe.stores["shop"].reader.events(type="shop.refused")
            assert b"o2 unanswered" in refused.data

    asyncio.run(story())
