"""A node to test on: real services on a memory store or a real file, a clock without chance, and signals to wait by."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.events.event import event
from onstage.events.receipt import Status
from onstage.observe.verdict import Verdict
from onstage.ports.clock import SystemClock
from onstage.ports.store import BatchOutcome, EventView, ExecutionView, Stored
from onstage.process_handle import ProcessHandle
from onstage.runtime.node import Node
from onstage.runtime.workers import ThreadWorkers
from onstage.stage import Stage
from onstage.stores.memory import MemoryStore
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.inline_workers import InlineWorkers

PATIENCE_S = 10


@event("shop.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str
    amount: int = 0


@event("shop.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str
    by: str = ""


@event("shop.approved", key="id")
@dataclass(frozen=True)
class Approved:
    id: str
    by: str = ""


@event("shop.refused", key="id")
@dataclass(frozen=True)
class Refused:
    id: str


@final
class Clock:
    """The machine's clock, moved by hand, and no chance: every retry is due at once."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._real = SystemClock()

    def now_ms(self) -> int:
        return self._real.now_ms() + self.ahead_ms

    def chance(self) -> float:
        return 0.0

    def token(self, size: int) -> bytes:
        return self._real.token(size)


@final
class House:
    """One running node, the stage in front of it, and what it has done."""

    def __init__(self, node: Node, stage: Stage) -> None:
        self.node = node
        self.stage = stage
        self._news = asyncio.Event()
        report = node.store.on_batch

        def heard(outcome: BatchOutcome) -> None:
            report(outcome)
            self._news.set()

        node.store.on_batch = heard

    async def emit(self, event: object, *, id: str | None = None, process: Any = None) -> ProcessHandle:
        return await self.stage.emit(event, id=id, process=process)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Look again after every batch."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._news.clear()
                if await holds():
                    return
                await self._news.wait()

    async def has_nothing_open(self) -> bool:
        return self.node.open == {}

    async def until_verdict(self, process: ProcessHandle, status: str) -> Verdict:
        async def holds() -> bool:
            return (await process.verdict()).status == status

        await self.until(holds)
        return await process.verdict()

    async def settled(self, event: object) -> Verdict:
        """Emit, and wait for the final verdict."""
        process = await self.emit(event)
        verdict = await process.verdict(timeout=PATIENCE_S)
        assert verdict.is_final, str(verdict)
        return verdict

    async def aside(self, event: object) -> str:
        """Emit, wait until its execution is set aside, and answer why."""
        process = await self.emit(event)
        await self.until_verdict(process, "stuck")
        return (await self.only_execution(Status.PARKED, Status.DIVERGED)).error or ""

    async def executions(self, *statuses: Status) -> list[ExecutionView]:
        return await self.node.store.reader.executions(statuses=statuses or range(Status.DONE))

    async def only_execution(self, *statuses: Status) -> ExecutionView:
        (view,) = await self.executions(*statuses)
        return view

    async def stored(self, execution: int) -> Stored:
        found = await self.node.store.reader.execution(execution)
        assert found is not None
        return found

    async def events(self, type: str | None = None) -> list[EventView]:
        return await self.node.store.reader.events(type=type, limit=100_000)


def memory() -> MemoryStore:
    """A store to open more than one node on, one after the other. Make it on the running loop."""
    return MemoryStore(clock=SystemClock(), workers=InlineWorkers())


@asynccontextmanager
async def playing(
    *parts: Service | Process, on: MemoryStore | Path | None = None, clock: Clock | None = None
) -> AsyncIterator[House]:
    """A node on a store of its own in memory, on a memory store that is there already, or on a file."""
    clock, workers = clock or Clock(), ThreadWorkers()
    store = SqliteStore(on, clock=clock, workers=workers) if isinstance(on, Path) else on or memory()
    services = [part for part in parts if isinstance(part, Service)]
    processes = [part for part in parts if isinstance(part, Process)]
    nodes: list[Node] = []

    def make_node(dispatch: bool) -> Node:
        nodes.append(Node(services, processes, store=store, clock=clock, workers=workers, dispatch=dispatch))
        return nodes[-1]

    stage = Stage(make_node, path=None)
    stage.drain_s = 2.0
    async with stage:
        yield House(nodes[0], stage)


def shop() -> Service:
    """A service without handlers yet."""
    return Service("shop")


@contextmanager
def logged(name: str) -> Iterator[list[str]]:
    """What is logged under this name, as text."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
