"""Several nodes on one broker in memory, and an observer: a shop whose services run apart."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import final

from tests.unit.runtime.playhouse import PATIENCE_S, Approved, Clock, Paid, Placed, Refused

from onstage import Process, Service, step
from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog, Faults
from onstage.observe.verdict import Verdict
from onstage.ports.broker import Logged
from onstage.runtime.exchange import Exchange
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.runtime.observatory import Observatory
from onstage.runtime.workers import ThreadWorkers
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers

WAITS_FROM = 100


class Play:
    """The services of one play, and what their steps did."""

    def __init__(self) -> None:
        self.effects: list[tuple[str, str]] = []
        self.shop, self.bank, self.post = Service("shop"), Service("bank"), Service("post")
        self.audit = Service("audit")

        @step
        async def charge(order: str) -> str:
            self.effects.append(("charge", order))
            return f"charge-{order}"

        @step
        async def send(order: str, text: str) -> None:
            self.effects.append((text, order))

        @self.shop.on(Placed)
        async def review(e: Placed) -> Approved | Refused:
            return Refused(e.id) if e.amount < 0 else Approved(e.id, "shop")

        @self.bank.on(Approved)
        async def take(e: Approved) -> Paid:
            return Paid(e.id, await charge(e.id))

        @self.post.on(Paid, Refused)
        async def tell(e: Paid | Refused) -> None:
            await send(e.id, type(e).__name__)

        self.order = Process("order", starts=Placed, done=Paid, failed=Refused, owner=self.shop)

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.shop, self.bank, self.post)


class Staged(Play):
    """Any services, and their one process."""

    def __init__(self, *parts: Service | Process) -> None:
        self._services = tuple(part for part in parts if isinstance(part, Service))
        (self.order,) = [part for part in parts if isinstance(part, Process)]

    @property
    def services(self) -> tuple[Service, ...]:
        return self._services


@final
class Troupe:
    """The nodes of a play, each on a store of its own, and an observer of them all."""

    def __init__(self, play: Play, log: EmbeddedLog, clock: Clock) -> None:
        self.play = play
        self.log = log
        self.clock = clock
        self.nodes: dict[str, Node] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.observatory: Observatory | None = None
        self.watching = MemoryStore(clock=clock, workers=InlineWorkers())

    async def begin(self, *names: str, faults: Faults | None = None) -> None:
        for name in names:
            store = self.stores.setdefault(name, MemoryStore(clock=self.clock, workers=InlineWorkers()))
            node = Node(
                self.play.services,
                [self.play.order],
                store=store,
                clock=self.clock,
                workers=ThreadWorkers(),
                broker=EmbeddedBroker(self.log, faults=faults),
                hosted=[name],
            )
            self.nodes[name] = node
            await node.start()

    async def end(self, *names: str) -> None:
        for name in names:
            await self.nodes.pop(name).close()

    async def observe(self) -> None:
        self.observatory = Observatory(EmbeddedBroker(self.log), lambda: self.watching, self.clock)
        await self.observatory.start()

    async def close(self) -> None:
        await self.end(*self.nodes)
        if self.observatory is not None:
            await self.observatory.close()

    async def emit(self, at: str, event: object, *, id: str | None = None) -> str:
        ways = LocalWays(self.nodes[at])
        route = self.nodes[at].routes_by_class[type(event)]
        return await ways.emit(route.type.name, route.type.encode(event), id=id, source=None)

    def messages(self, start: str = "") -> list[Logged]:
        """What stands in the log, of the subjects that begin so."""
        found = (self.log.at(seq) for seq in range(1, self.log.last + 1))
        return [each for each in found if each is not None and each.subject.startswith(start)]

    def exchange(self, name: str) -> Exchange:
        exchange = self.nodes[name].exchange
        assert exchange is not None
        return exchange

    async def until(self, holds: Callable[[], bool]) -> None:
        """Look again and again."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def until_durable(self, look: Callable[[], Awaitable[object]], wanted: object) -> None:
        """Look again and again at what is stored."""
        async with asyncio.timeout(PATIENCE_S):
            while await look() != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def verdict(self, process: str) -> Verdict:
        """The final verdict, as the observer says it."""
        assert self.observatory is not None
        async with asyncio.timeout(PATIENCE_S):
            while True:
                verdict = await self.observatory.verdict(process, 1.0)
                if verdict is not None and verdict.is_final:
                    return verdict
                await asyncio.sleep(0.01)


@asynccontextmanager
async def touring(*names: str, play: Play | None = None) -> AsyncIterator[Troupe]:
    """A troupe whose services `names` (all if none is named) run, with an observer."""
    troupe = Troupe(play or Play(), EmbeddedLog(), Clock())
    try:
        await troupe.begin(*(names or [service.name for service in troupe.play.services]))
        await troupe.observe()
        yield troupe
    finally:
        await troupe.close()
