"""An observer at work: it reads the log into its store, and answers who asks for verdicts.

When it is down nobody waits but those who ask: handlers need no observer. A new topology may name what the store does
not know; then the store is opened anew with these names, and reading goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.topology import Place, Topology
from onstage.core.commit import Commit, Notes
from onstage.errors import BrokerUnavailable, StoreUnavailable
from onstage.events.delayed import LATER
from onstage.events.subject import log_subjects
from onstage.observe.verdict import Verdict
from onstage.ports.broker import CursorLost
from onstage.ports.store import Declaration
from onstage.runtime.broker_watch import BrokerWatch, until_there
from onstage.runtime.intake import process_known_as
from onstage.runtime.log_reader import LogReader
from onstage.runtime.observer import NamesChanged, Observer
from onstage.runtime.registry import Registry
from onstage.runtime.strands import Strands
from onstage.runtime.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onstage.ports.broker import Broker, Logged
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome, Opened, Store

__all__ = ["ASK_S_MAX", "Observatory", "Question", "verdict_subject"]

ASK_S_MAX: Final = 1.0
"""So long at most an observer keeps a question before it answers what it knows; who wants to wait longer asks again."""
MISSING_S: Final = 2.0
"""So soon an observer asks for what is missing before what it has laid aside; then less and less often."""
MISSING_S_MAX: Final = 64.0
log = logging.getLogger("onstage.observer")


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
        self._registry = Registry(broker, lambda: self.store.reader, clock.now_ms)
        self._strands = Strands(broker, lambda: self.store.reader)
        self.broker_watch = BrokerWatch(broker)
        self._reader: LogReader | None = None
        self._asking: asyncio.Task[None] | None = None
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
        await until_there(lambda: self._broker.serve(verdict_subject(namespace), self._answer))
        reader = self._reader = LogReader(
            f"observer-{self._name}",
            log_subjects(namespace)[:2],
            broker=self._broker,
            reader=lambda: self.store.reader,
            clock=self._clock,
            take=self._take,
            begin=Place,
        )
        reader.start()
        self._asking = asyncio.get_running_loop().create_task(self._ask_for_missing())

    async def close(self) -> None:
        """Stop reading and answering. Safe to call when it never came to that."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        if self._reader is not None:
            await self._reader.close()
        await self.broker_watch.close()
        await self._broker.close()
        if self._is_open:
            await self.store.close()
            self.watch.close()

    async def _open(self) -> None:
        await until_there(self._registry.refresh)
        declared = self._registry.known
        opened = await self._open_with(declared)
        await self._registry.load()
        while (known := self._registry.known) != declared:  # the store remembers topologies that the registry has lost
            await self.store.close()
            opened, declared = await self._open_with(known), known
        self._name = opened.store
        self.watch = Watch(self.store)
        self.store.on_batch = self._on_batch
        self._is_open = True
        events, receipts = self.counts
        self.observer = Observer(self.store, opened, self._registry)
        self.observer.events, self.observer.receipts = events, receipts
        notes = self._registry.notes(())
        if notes:
            position = self.store.append(Commit(epoch=opened.epoch, notes=Notes(notes)))
            self.store.flush()
            await self.store.durable(position)

    async def _open_with(self, known: Sequence[Topology]) -> Opened:
        self.store = self._make_store()
        return await self.store.open(_declaration(known))

    @property
    def counts(self) -> tuple[int, int]:
        """How many events and receipts it has read since it was started."""
        return (self.observer.events, self.observer.receipts) if hasattr(self, "observer") else (0, 0)

    def _on_batch(self, outcome: BatchOutcome) -> None:
        self.watch.batch(outcome)

    async def _take(self, messages: Sequence[Logged], place: Notes) -> bool:
        try:
            return await self.observer.take(messages, place)
        except NamesChanged:
            await until_there(self._registry.refresh)
            async with self._changing:
                await self.store.close()
                self.watch.close()
                await self._open()
            # What was laid aside went with the old one: read on from the place that is stored.
            raise CursorLost("the topology has new names") from None

    async def _ask_for_missing(self) -> None:
        pause = MISSING_S
        while True:
            await asyncio.sleep(pause)
            if not self.observer.is_waiting:
                pause = MISSING_S
                continue
            try:
                for service, ask in await self.observer.missing():
                    log.warning("the log lacks what %s has published; it is asked for it: %s", service, ask)
                    await self._strands.send(service, ask)
            except (BrokerUnavailable, StoreUnavailable) as error:
                log.debug("nobody can be asked for what is missing: %s", error)
            except Exception:
                log.exception("asking for what is missing failed; it is tried again")
            pause = min(2 * pause, MISSING_S_MAX)

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
        if number is None:
            return None
        return await watch.verdict(number, timeout_s, self._registry.current.handler_names | {LATER})


def _declaration(known: Sequence[Topology]) -> Declaration:
    """All names that any topology has: an event is read with the one that is stamped on it."""
    processes = {process.name: process for topology in known for process in topology.processes}
    newest = known[-1] if known else Topology()
    names = {each.name for topology in known for each in topology.handlers}
    return Declaration(
        types=(*sorted({(each.name, each.version) for topology in known for each in topology.types}), (LATER, 1)),
        handlers=tuple((name, ()) for name in (*sorted(names), LATER)),
        outcomes={name: frozenset((*process.done, *process.failed)) for name, process in processes.items()},
        manifest=b"\n" + msgspec.json.encode({"handlers": newest.handlers, "processes": newest.processes}),
        partial=True,
        is_view=True,
    )
