"""An observer at work: it reads the log into its store, and answers who asks for verdicts.

When it is down nobody waits but those who ask: handlers need no observer. A new topology may name what the store does
not know; then the store is opened anew with these names, and reading goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.manifest import AppManifest
from onstage.contracts.topology import Place, Topology
from onstage.core.commit import Commit, Notes
from onstage.core.undoing import NOTHING, PIVOTED
from onstage.errors import BrokerUnavailable, StoreUnavailable
from onstage.events.delayed import LATER
from onstage.events.subject import log_subjects
from onstage.events.undoing_told import UNDO, UNDOING
from onstage.observe.verdict import Verdict
from onstage.ports.broker import CursorLost
from onstage.ports.store import Declaration
from onstage.runtime.broker_watch import BrokerWatch, until_there
from onstage.runtime.hopeless_apart import HopelessApart
from onstage.runtime.intake import process_known_as
from onstage.runtime.log_reader import LogReader
from onstage.runtime.observer import NamesChanged, Observer
from onstage.runtime.presence import Presence
from onstage.runtime.process_teller import monitor_of_view
from onstage.runtime.registry import Registry
from onstage.runtime.strands import Strands
from onstage.runtime.task_end import end_tasks
from onstage.runtime.tidings import Tidings, are_heard
from onstage.runtime.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onstage.ports.broker import Broker, Logged
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome, Opened, Store
    from onstage.runtime.alerts import Alerts
    from onstage.runtime.process_monitor import ProcessMonitor

__all__ = ["ASK_S_MAX", "Observatory", "Question", "verdict_subject"]

ASK_S_MAX: Final = 1.0
"""So long at most an observer keeps a question before it answers what it knows; who wants to wait longer asks again."""
MISSING_S: Final = 2.0
"""So soon an observer asks for what is missing before what it has laid aside; then less and less often."""
MISSING_S_MAX: Final = 64.0
QUIET_S: Final = 0.3
"""An observer that has heard nothing for so long has read the log to its end."""
RECENT_MS: Final = 1_000
"""What is no older than this is of now: who reads it is not behind."""
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

    def __init__(
        self, broker: Broker, make_store: Callable[[], Store], clock: Clock, *, alerts: Alerts | None = None
    ) -> None:
        """`make_store` makes the store, not yet opened, each time it is opened anew."""
        self._alerts = alerts
        self._broker = broker
        self._make_store = make_store
        self._clock = clock
        self._registry = Registry(broker, lambda: self.store.reader, clock.now_ms)
        self.presence = Presence(broker, self._registry, self._present_changed)
        self._strands = Strands(broker, lambda: self.store.reader)
        self.broker_watch = BrokerWatch(broker)
        self._reader: LogReader | None = None
        self._asking: asyncio.Task[None] | None = None
        self._is_open = False
        self._heard_at = 0.0
        self.monitor: ProcessMonitor | None = None
        self.tidings: Tidings | None = None
        self.hopeless: HopelessApart | None = None
        self._changing = asyncio.Lock()
        self._undone: set[int] = set()
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
        self.presence.start()

    async def close(self) -> None:
        """Stop reading and answering. Safe to call when it never came to that."""
        await end_tasks(self._asking)
        await self.presence.close()
        if self._reader is not None:
            await self._reader.close()
        await self.broker_watch.close()
        await self._broker.close()
        if self._is_open:
            await self._end_watching()
            await self.store.close()
            self.watch.close()

    async def _end_watching(self) -> None:
        if self.monitor is not None:
            await self.monitor.close()
        if self._alerts is not None:
            await self._alerts.close()
        if self.tidings is not None:
            await self.tidings.close()
        if self.hopeless is not None:
            await self.hopeless.close()

    async def _open(self) -> None:
        await until_there(self._registry.refresh)
        declared = self._registry.known
        opened = await self._open_with(declared)
        await self._registry.load()
        while (known := self._registry.known) != declared:  # the store remembers topologies that the registry has lost
            await self.store.close()
            opened, declared = await self._open_with(known), known
        self._name = opened.store
        self.watch = Watch(self.store, has_rules=any(each.rules for each in self._registry.current.processes))
        self.store.on_batch = self._on_batch
        self._is_open = True
        self._undone = await _undone_in(self.store)
        events, receipts = self.counts
        self.observer = Observer(self.store, opened, self._registry)
        self.observer.events, self.observer.receipts = events, receipts
        self._heard_at = asyncio.get_running_loop().time()
        self.tidings = None
        if are_heard(self._registry.known):
            self.tidings = Tidings(self._broker, self._registry, self._is_current)
            await self.tidings.begin(self.store, opened.epoch)
        self.monitor = monitor_of_view(
            self.store,
            opened,
            self._clock,
            self._registry.current,
            self._is_current,
            self._alerts,
            tidings=self.tidings,
            missing=lambda: self.presence.missing,
        )
        if self._alerts is not None:
            await self._alerts.begin(self.store, opened.epoch, self._clock)
        if self.monitor is not None:
            await self.monitor.load()
            self.monitor.start()
        self.hopeless = HopelessApart(lambda: self.store.reader, self._broker, self._registry, self._is_current)
        await self.hopeless.start()
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

    @property
    def gaps(self) -> int:
        """How often it found that the log lacks something, since the store was opened."""
        return self.observer.gaps if hasattr(self, "observer") else 0

    @property
    def laid_aside(self) -> int:
        """How many messages wait for others that have to come before them."""
        return self.observer.laid_aside if hasattr(self, "observer") else 0

    @property
    def reader(self) -> LogReader | None:
        """What reads the log, once it does."""
        return self._reader

    @property
    def broker(self) -> Broker:
        """The broker that it reads from."""
        return self._broker

    def _on_batch(self, outcome: BatchOutcome) -> None:
        for row in outcome.waves:
            (self._undone.discard if row.state in (PIVOTED, NOTHING) else self._undone.add)(row.process)
        if self._undone:  # what such a process came to does not say how it stands
            outcome.closed = [
                msgspec.structs.replace(each, outcome=None) if each.process in self._undone else each
                for each in outcome.closed
            ]
        self.watch.batch(outcome)
        for row in outcome.waves:
            self.watch.undone(row.process)
        if self.monitor is not None:
            self.monitor.poke()
        if self.hopeless is not None:
            self.hopeless.poke()

    def _present_changed(self) -> None:
        if self.monitor is not None:
            self.monitor.poke()

    def _is_current(self) -> bool:
        """Whether the log was read to its end, as far as one can tell: nothing more came, or what comes is of now."""
        if self._broker.trouble is not None or self.observer.is_waiting:
            return False
        is_quiet = asyncio.get_running_loop().time() - self._heard_at >= QUIET_S
        return is_quiet or self.observer.newest_ms >= self._clock.now_ms() - RECENT_MS

    async def _take(self, messages: Sequence[Logged], place: Notes) -> bool:
        self._heard_at = asyncio.get_running_loop().time()
        try:
            return await self.observer.take(messages, place)
        except NamesChanged:
            await until_there(self._registry.refresh)
            async with self._changing:
                await self._end_watching()
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
        live = self._registry.current.handler_names - self.presence.missing | {LATER, UNDO}
        return await watch.verdict(number, timeout_s, live)


async def _undone_in(store: Store) -> set[int]:
    """The processes that are undone, or may be."""
    found, after = set[int](), -1
    while page := await store.reader.waves(after=after):
        found |= {row.process for row in page if row.state not in (PIVOTED, NOTHING)}
        after = page[-1].process
    return found


def _declaration(known: Sequence[Topology]) -> Declaration:
    """All names that any topology has: an event is read with the one that is stamped on it."""
    processes = {process.name: process for topology in known for process in topology.processes}
    newest = known[-1] if known else Topology()
    names = {each.name for topology in known for each in topology.handlers}
    told = AppManifest(handlers=newest.handlers, processes=newest.processes, types=newest.types)
    return Declaration(
        types=(
            *sorted({(each.name, each.version) for topology in known for each in topology.types}),
            *((name, 1) for name in (LATER, UNDO, UNDOING)),
        ),
        handlers=tuple((name, ()) for name in (*sorted(names), LATER, UNDO)),
        outcomes={name: frozenset((*process.done, *process.failed)) for name, process in processes.items()},
        manifest=b"\n" + msgspec.json.encode(told),
        partial=True,
        is_view=True,
    )
