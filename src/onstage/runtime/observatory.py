"""An observer at work: it reads the log into its store, and answers who asks for verdicts.

When it is down nobody waits but those who ask: handlers need no observer. A new topology may name what the store does
not know; then the store is opened anew with these names, and reading goes on where it was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar, final

import msgspec

from onstage.core.commit import Commit, Notes
from onstage.errors import BrokerUnavailable
from onstage.events.subject import log_subjects
from onstage.observe.verdict import Verdict
from onstage.ports.store import Declaration
from onstage.runtime.broker_watch import BrokerWatch
from onstage.runtime.intake import process_known_as
from onstage.runtime.log_reader import LogReader
from onstage.runtime.observer import NamesChanged, Observer
from onstage.runtime.registry import Registry
from onstage.runtime.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from onstage.contracts.topology import Topology
    from onstage.ports.broker import Broker, Logged
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome, Store

__all__ = ["ASK_S_MAX", "Observatory", "Question", "verdict_subject"]

ASK_S_MAX: Final = 1.0
"""So long at most an observer keeps a question before it answers what it knows; who wants to wait longer asks again."""
PAUSE_S: Final = 0.2
PAUSE_S_MAX: Final = 5.0
T = TypeVar("T")


class Question(msgspec.Struct, frozen=True):
    """Where does a process stand? Answered with a `Verdict`, or null if the observer does not know the process."""

    process: str
    timeout_s: float = 0.0


_QUESTION: Final = msgspec.json.Decoder(Question).decode


def verdict_subject(namespace: str) -> str:
    """Where observers of a namespace are asked."""
    return f"view.{namespace}.verdict"


@final
class Observatory:
    """Runs one observer. Start it, stop it, on one loop."""

    def __init__(self, broker: Broker, make_store: Callable[[], Store], clock: Clock) -> None:
        """`make_store` makes the store, not yet opened, each time it is opened anew."""
        self._broker = broker
        self._make_store = make_store
        self._clock = clock
        self._registry = Registry(broker, lambda: self.store.reader)
        self.broker_watch = BrokerWatch(broker)
        self._reader: LogReader | None = None
        self._is_open = False
        self._changing = asyncio.Lock()
        self.store: Store
        self.watch: Watch
        self.observer: Observer

    async def start(self) -> None:
        """Connect (for as long as it takes), open the store, read from now on."""
        await self.broker_watch.open()
        await self._open()
        namespace = self._broker.namespace
        await self._until_there(lambda: self._broker.serve(verdict_subject(namespace), self._answer))
        reader = self._reader = LogReader(
            f"observer-{self._name}",
            log_subjects(namespace)[:2],
            broker=self._broker,
            reader=lambda: self.store.reader,
            clock=self._clock,
            take=self._take,
            begin=self._from_the_beginning,
        )
        reader.start()

    @staticmethod
    async def _from_the_beginning() -> int:
        return 0

    async def close(self) -> None:
        """Stop reading and answering. Safe to call when it never came to that."""
        if self._reader is not None:
            await self._reader.close()
        await self.broker_watch.close()
        await self._broker.close()
        if self._is_open:
            await self.store.close()
            self.watch.close()

    async def _open(self) -> None:
        topology = await self._until_there(self._registry.refresh)
        self.store = self._make_store()
        opened = await self.store.open(_declaration(topology))
        self._name = f"{opened.store}"
        self.watch = Watch(self.store)
        self.store.on_batch = self._on_batch
        self._is_open = True
        await self._registry.load()
        events, receipts = self.counts
        self.observer = Observer(self.store, opened, self._registry)
        self.observer.events, self.observer.receipts = events, receipts
        notes = self._registry.notes(())
        if notes:
            position = self.store.append(Commit(epoch=opened.epoch, notes=Notes(notes)))
            self.store.flush()
            await self.store.durable(position)

    async def _until_there(self, ask: Callable[[], Awaitable[T]]) -> T:
        pause = PAUSE_S
        while True:
            try:
                return await ask()
            except BrokerUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_S_MAX)

    @property
    def counts(self) -> tuple[int, int]:
        """How many events and receipts it has read since it was started."""
        return (self.observer.events, self.observer.receipts) if hasattr(self, "observer") else (0, 0)

    def _on_batch(self, outcome: BatchOutcome) -> None:
        self.watch.batch(outcome)

    async def _take(self, messages: Sequence[Logged], place: Notes) -> None:
        while True:
            try:
                await self.observer.take(messages, place)
            except NamesChanged:
                async with self._changing:
                    await self.store.close()
                    self.watch.close()
                    await self._open()
                continue
            return

    # Verdicts.

    async def _answer(self, data: bytes) -> bytes:
        try:
            question = _QUESTION(data)
        except (ValueError, RecursionError):
            return msgspec.json.encode(None)
        return msgspec.json.encode(await self.verdict(question.process, min(question.timeout_s, ASK_S_MAX)))

    async def verdict(self, process: str, timeout_s: float) -> Verdict | None:
        """The verdict on a process, by its public id or that of an event that was sent on; None if it is not known."""
        async with self._changing:
            number = await process_known_as(self.store.reader, process)
            watch = self.watch
        return None if number is None else await watch.verdict(number, timeout_s, None)


def _declaration(topology: Topology) -> Declaration:
    processes = {process.name: frozenset((*process.done, *process.failed)) for process in topology.processes}
    return Declaration(
        types=tuple(sorted((each.name, each.version) for each in topology.types)),
        handlers=tuple((each.name, ()) for each in topology.handlers),
        outcomes=processes,
        manifest=b"\n" + msgspec.json.encode({"handlers": topology.handlers, "processes": topology.processes}),
        partial=True,
        is_view=True,
    )
