"""What clients of a tour ask at nodes whose store does not answer: requests, workflows, and their cancels.

Played only where it is asked for, so that other tours stay as they are. Each client asks again in every life of its
node, under the same id, until it has its answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.app import App
from onstage.core.retry import Retry
from onstage.errors import StoreUnavailable, UsageError
from onstage.events.answer import START_PREFIX, Answer, Request
from onstage.events.event import event
from onstage.ports.store import Refused
from onstage.runtime.admission import door_of
from onstage.runtime.asking import start
from onstage.runtime.calls import sleep
from onstage.runtime.local_ways import LocalWays
from onstage.testing.tour.repertory import SERVICES, book, touch, tour_app

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from onstage.contracts.service import Service
    from onstage.testing.tour.company import Member
    from onstage.testing.world.tape import Tape

    _Story = Callable[["Commission", LocalWays], Coroutine[Any, Any, None]]

__all__ = ["COMMISSION_PLACES", "Commission", "Commissions", "commissioned_app", "commissions_of"]

COMMISSION_PLACES: Final = {"bank.quote": "quote", "post.carry": "carry"}
ENDLESS: Final = 100
"""A workflow of this input or a larger one goes on until it is cancelled."""
PAUSE_S: Final = 0.5
MANY: Final = 10
GAPS_S: Final = (0.0, 0.01, 0.5, 3.0)
TYPES: Final = ("errand.get-quote", f"{START_PREFIX}post.carry", f"{START_PREFIX}shop.haul")
PATIENT: Final = Retry(40, first="50ms", most="2s")


@event("errand.get-quote", key="key")
@dataclass(frozen=True)
class GetQuote(Request[int]):
    """Answered by `bank`."""

    key: str
    n: int


def _declare(shop: Service, bank: Service, post: Service) -> None:
    @bank.answers(GetQuote, name="quote", retry=PATIENT)
    async def quote(q: GetQuote) -> int:
        await touch(q.key)
        await book("quote")
        return q.n

    @post.workflow(name="carry", retry=PATIENT)
    async def carry(n: int) -> int:
        await book("carry")
        if n >= ENDLESS:
            await sleep("30d")
        return n

    @shop.workflow(name="haul", retry=PATIENT)
    async def haul(n: int) -> int:
        return await start(carry, n)


@cache
def commissioned_app() -> App:
    """The application of a tour, and those that are asked."""
    app = tour_app.__wrapped__()
    by_name = {service.name: service for service in app.services}
    _declare(*(by_name[name] for name in ("shop", "bank", "post")))
    return App(*app.services, *app.processes)


@final
@dataclass(slots=True, eq=False)
class Commission:
    """Ask for one of `TYPES` at a node, and cancel it after a while, perhaps at another node."""

    type: str
    n: int
    at: str
    cancelled_at: str | None
    lives: dict[str, Member] = field(default_factory=dict)
    answer: Answer | None = None
    called_off: bool = False

    @property
    def is_over(self) -> bool:
        """Whether its client knows what became of it."""
        return self.answer is not None and (self.cancelled_at is None or self.called_off)

    @property
    def start(self) -> dict[str, Any]:
        """What is asked, as `begin` takes it."""
        is_request = self.type == TYPES[0]
        data = msgspec.json.encode({"key": "q", "n": self.n} if is_request else self.n)
        source = None if is_request else f"//onstage/start/{self.type.removeprefix(START_PREFIX)}"
        named = f"commission-{self.n}"
        return {"type": self.type, "data": data, "id": named, "source": source, "key": named, "timeout_s": None}

    @property
    def name(self) -> str:
        """Under which every node knows it."""
        asked = self.start
        return door_of(asked["source"], asked["id"], asked["type"], asked["data"]).identity.hex()

    @property
    def complaint(self) -> str | None:
        """What is wrong with the answer."""
        answer = self.answer
        if answer is None:
            return f"{self.type} {self.n} has no answer"
        kind = None if answer.failure is None else answer.failure[0]
        if kind != (None if self.cancelled_at is None else "cancelled"):
            return f"{self.type} {self.n} ended as {kind}"
        if kind is None and msgspec.json.decode(answer.value) != self.n:
            return f"{self.type} {self.n} was answered with {bytes(answer.value)!r}"
        return None


def commissions_of(tape: Tape) -> list[tuple[float, Commission]]:
    """What is asked, (virtual seconds, commission), in order."""
    chance, at_s = tape.stream("commissions"), 0.0
    found: list[tuple[float, Commission]] = []
    for n in range(MANY):
        at_s += GAPS_S[chance.pick(len(GAPS_S))]
        kind, at = TYPES[chance.pick(len(TYPES))], SERVICES[chance.pick(len(SERVICES))]
        there = SERVICES[chance.pick(len(SERVICES))] if kind != TYPES[0] and chance.pick(2) else None
        found.append((at_s, Commission(kind, n + (ENDLESS if there else 0), at, there)))
    return found


@final
class Commissions:
    """All that is asked in one tour."""

    def __init__(self, programme: list[tuple[float, Commission]]) -> None:
        """Nothing is asked yet."""
        self._programme = programme
        self.asked: list[Commission] = []

    @property
    def are_done(self) -> bool:
        """Whether each has its answer."""
        return not self._programme and all(each.is_over for each in self.asked)

    def go_on(self, now_s: float, members: dict[str, Member]) -> None:
        """Whoever has no answer asks, as soon as its node is up, and again in its next life."""
        while self._programme and self._programme[0][0] <= now_s:
            self.asked.append(self._programme.pop(0)[1])
        for each in self.asked:
            if each.answer is None:
                self._begin(each, each.at, self._ask, members)
            if each.cancelled_at is not None and not each.called_off:
                self._begin(each, each.cancelled_at, self._call_off, members)

    @staticmethod
    def _begin(each: Commission, at: str, story: _Story, members: dict[str, Member]) -> None:
        member = members.get(at)
        if member is None or not member.is_up or member.node is None or each.lives.get(story.__name__) is member:
            return
        each.lives[story.__name__] = member
        member.loop.create_task(story(each, LocalWays(member.node)))

    @staticmethod
    async def _ask(each: Commission, ways: LocalWays) -> None:
        while each.answer is None:
            try:
                name = await ways.begin(each.start)
                data = await ways.answer(name, None, each.type)
            except StoreUnavailable:
                await asyncio.sleep(PAUSE_S)
                continue
            assert data is not None, "it waits for ever"
            each.answer = msgspec.json.decode(data, type=Answer)

    @staticmethod
    async def _call_off(each: Commission, ways: LocalWays) -> None:
        while not each.called_off:
            try:
                await ways.control("cancel", each.name, each.type)
            except (StoreUnavailable, LookupError, Refused):
                await asyncio.sleep(PAUSE_S)  # it is not there yet, or its run has begun at this very moment
                continue
            except UsageError:
                pass  # it has ended
            each.called_off = True
