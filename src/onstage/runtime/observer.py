"""The observer: reads the whole log and folds it into a store of its own, in the tables that every store has.

Theory of operation. It decides nothing about anything. Of each event it makes the commit that its emitter would have
made if all handlers were here: the event, and an obligation for each that the topology stamped on it names. Of each
receipt it makes the commit that settles one, or tells how it stands. Both go through the same batch as in a node, so
its ledger, its verdicts and all that shows them are the same code. It can be stopped, thrown away and begun anew: its
rows follow from the log alone.

What arrives before what it belongs to (a receipt before an event that it speaks of, an event before its root) or behind
a gap in the receipts of a store is laid aside in memory, and the place is not moved until it has found its match. What
does not come by itself is asked for: each receipt names the events that it has put out.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.topology import Topology
from onstage.core.commit import Commit, Door, NewEvent, NewProcess, Note, Notes, Obligation, execution_id
from onstage.errors import BrokerUnavailable, InvalidEvent
from onstage.events.binding import from_message
from onstage.events.codec import DecodeFailed
from onstage.events.delayed import LATER, decode_delayed
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import Receipt, Status
from onstage.events.wire_receipt import WireReceipt, decode_wire
from onstage.runtime.marks import public_id
from onstage.runtime.observed_undoing import ObservedUndoing
from onstage.runtime.outgoing import FIRST, POSITION, SERVICE, WRITER
from onstage.runtime.strands import Ask, store_in
from onstage.runtime.tidings import are_heard
from onstage.runtime.wire import SENT_AS, arrived, identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onstage.contracts.topology import Topology
    from onstage.core.commit import WaveRow
    from onstage.events.envelope import Envelope
    from onstage.ports.broker import Logged
    from onstage.ports.store import Opened, Store
    from onstage.runtime.registry import Registry

__all__ = ["NamesChanged", "Observer"]

KNOWN_MAX: Final = 200_000
"""How many events and processes an observer remembers by their public ids; others are looked up."""
_ENCODE_INT: Final = msgspec.msgpack.Encoder().encode
_DECODE_INT: Final = msgspec.msgpack.Decoder(int).decode
_OF_MAIL: Final = (Status.CONSUMED, Status.UNMATCHED, Status.LATE)
"""What settles the obligation of a mailbox, of which there is no execution."""

log = logging.getLogger("onstage.observer")


_NOBODY: Final = Topology()
"""The topology of an event that bears none: nobody owes it anything."""


class NamesChanged(Exception):
    """The topology names what the store was not opened with: open it anew."""


@final
class Observer:
    """Folds messages of the log into one open store."""

    def __init__(self, store: Store, opened: Opened, registry: Registry) -> None:
        """On this store, which was opened with the names and outcomes of all topologies that the registry knows."""
        self._store = store
        self._registry = registry
        self._epoch = opened.epoch
        self._types = {name: number for (name, _), number in opened.types.items()}
        self._handlers = opened.handlers
        self._next_n = opened.next_n
        self._hlc = opened.hlc
        self._known: dict[bytes, int] = {}
        self._checked: set[int] = set()
        self._ranks: dict[str, int] = {}
        self._owing: dict[int, dict[int, bool]] = {}
        self._undoing = ObservedUndoing(store)
        self._early: dict[int, Logged] = {}
        self._topologies = set(registry.epochs)
        self._processes = [process for topology in registry.known for process in topology.processes]
        self._is_heard = are_heard(registry.known)
        self.events = 0
        self.receipts = 0
        self.gaps = 0

    async def take(self, messages: Sequence[Logged], place: Notes) -> bool:
        """Fold messages in their order; durable when this returns. Answers whether the place is kept.

        While something is laid aside it is not: whoever begins anew reads from the last place that lacked nothing.
        """
        await self._look_up([*messages, *self._early.values()])
        for message in messages:
            if not await self._fold(message):
                self._early[message.seq] = message
        await self._fold_early()
        learnt = self._registry.notes(self._topologies)
        self._topologies |= {note.number for note in learnt}
        kept, dropped = (learnt, ()) if self._early else ([*place.kept, *learnt], place.dropped)
        position = self._store.append(Commit(epoch=self._epoch, notes=Notes(kept, dropped)))
        self._store.flush()
        await self._store.durable(position)
        return not self._early

    @property
    def laid_aside(self) -> int:
        """How many messages are laid aside, because others have to come before them."""
        return len(self._early)

    @property
    def is_waiting(self) -> bool:
        """Whether something is laid aside."""
        return bool(self._early)

    @property
    def newest_ms(self) -> int:
        """When the newest of what was read happened, by the clock of whoever wrote it."""
        return hlc_ms(self._hlc)

    async def missing(self) -> list[tuple[str, Ask]]:
        """What has to come before all that is laid aside can be folded: whom to ask, and for what."""
        events: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        behind: dict[tuple[str, str], int] = {}
        for message in self._early.values():
            service, store = message.headers.get(SERVICE, ""), store_in(public_id(message))
            if not service or not message.subject.startswith("rcpt."):
                continue
            events[service, store].update(self._not_known(message, store))
            last = await self._rank(f"heard {store}")
            if int(message.headers[POSITION]) > last + 1:
                behind[service, store] = last
        asks = [(service, Ask(store, events=tuple(sorted(e)))) for (service, store), e in events.items() if e]
        return asks + [(service, Ask(store, behind=last)) for (service, store), last in behind.items()]

    def _not_known(self, message: Logged, store: str) -> Iterator[str]:
        for wire in _events_in(message):
            if store_in(wire) == store and identity_of("event", wire) not in self._known:
                yield wire

    async def _fold_early(self) -> None:
        progress = bool(self._early)
        while progress:
            progress = False
            for seq, message in sorted(self._early.items()):
                if await self._fold(message):
                    del self._early[seq]
                    progress = True

    async def _fold(self, message: Logged) -> bool:
        """Fold one message; False if what it belongs to is not there yet."""
        if message.subject.startswith("evt."):
            return await self._event(message)
        if message.subject.startswith("rcpt."):
            return await self._bundle(message)
        return True

    # Events.

    async def _event(self, message: Logged) -> bool:
        wire = public_id(message)
        try:
            envelope = from_message(message.headers, message.data)
        except InvalidEvent as error:
            log.warning("message %s of the log is no event: %s", message.seq, error)
            return True
        identity = identity_of("event", wire)
        if not wire or envelope.correlationid is None or identity in self._known:
            return True
        process_id = envelope.correlationid
        process = self._known.get(identity_of("process", process_id), 0)
        if not process and process_id != wire:
            return False
        topology = await self._topology(envelope.topology or 0)
        waves = await self._undoing.rows(envelope, wire, process, topology) if process else ()
        self._append_event(envelope, wire, identity, process, topology, waves)
        self.events += 1
        return True

    async def _topology(self, epoch: int) -> Topology:
        if not epoch:
            return _NOBODY
        topology = await self._registry.at(epoch)
        if topology is not None and epoch in self._checked:
            return topology
        if topology is None:
            raise BrokerUnavailable(
                f"topology {epoch} is not in the registry\n  why: the node that made it has not put it back yet\n"
                "  to do: start one of the nodes that knew it; the observer waits"
            )
        if any(each.name not in self._handlers for each in topology.handlers):
            raise NamesChanged
        if any(each.name not in self._types for each in topology.types):
            raise NamesChanged
        if any(each not in self._processes for each in topology.processes):
            raise NamesChanged
        if not self._is_heard and are_heard([topology]):
            raise NamesChanged
        self._checked.add(epoch)
        return topology

    def _append_event(
        self,
        envelope: Envelope,
        wire: str,
        identity: bytes,
        process: int,
        topology: Topology,
        waves: tuple[WaveRow, ...],
    ) -> None:
        n = self._next_n
        self._next_n = n + 1
        kept = decode_delayed(envelope.data) if envelope.type == LATER else None
        roots: list[NewProcess] = []
        if not process:
            process, declared = n, topology.process_started_by(envelope.type if kept is None else kept.type)
            root_identity = identity_of("process", wire)
            started, name = hlc_ms(envelope.hlc or 0), declared and declared.name
            roots.append(NewProcess(n, name, envelope.subject, started, wire, root_identity))
            self._known[root_identity] = n
            self._undoing.began(n, name)
        hlc = envelope.hlc or 0
        event = NewEvent(
            n,
            process,
            self._types[envelope.type],
            envelope.subject,
            self._cause(envelope.causationid),
            hlc,
            topology.epoch,
            envelope.data,
            arrived(envelope, wire),
        )
        opened = [
            Obligation(execution_id(n, self._handlers[name]), process, gating, kept and kept.due)
            for name, gating in topology.subscribers(envelope.type)
        ]
        door = Door(identity, b"", n)
        commit = Commit(epoch=self._epoch, events=[event], opened=opened, roots=roots, door=door, waves=waves)
        self._store.append(commit)
        self._known[identity] = n
        self._owing[n] = {self._handlers[name]: gating for name, gating in topology.subscribers(envelope.type)}
        if event.cause == 0 and (sent_as := _sent_as(envelope, wire)):
            self._store.append(Commit(epoch=self._epoch, door=Door(identity_of("sent", sent_as), b"", n)))

    def _cause(self, causation: str | None) -> int:
        event, _, handler = (causation or "").partition("/")
        n, number = self._known.get(identity_of("event", event)), self._handlers.get(handler)
        return 0 if n is None or number is None else execution_id(n, number)

    # Receipts.

    async def _bundle(self, message: Logged) -> bool:
        try:
            receipts, headers = decode_wire(message.data), message.headers
            writer, first, position = headers[WRITER], int(headers[FIRST]), int(headers[POSITION])
        except (DecodeFailed, KeyError, ValueError) as error:
            log.warning("message %s of the log holds no receipts: %s", message.seq, error)
            return True
        topic, whole = f"heard {writer}", f"heard {store_in(writer)}"
        last, heard = await self._rank(topic), await self._rank(whole)
        if first > last + 1 or position > heard + 1:
            self.gaps += message.seq not in self._early
            return False
        if any(identity_of("event", wire) not in self._known for wire in _events_in(message)):
            return False
        ranks = [Note(whole, 0, _ENCODE_INT(max(heard, position)))]
        for rank, receipt in enumerate(receipts[last + 1 - first :], last + 1):
            await self._append_receipt(receipt, Notes((Note(topic, 0, _ENCODE_INT(rank)), *ranks)))
            self._ranks[topic] = rank
            self.receipts += 1
        self._ranks[whole] = max(heard, position)
        return True

    async def _rank(self, topic: str) -> int:
        known = self._ranks.get(topic)
        if known is None:
            notes = await self._store.reader.notes(topic, limit=1)
            known = self._ranks[topic] = _DECODE_INT(notes[0].body) if notes else 0
        return known

    async def _append_receipt(self, wire: WireReceipt, ranks: Notes) -> None:
        process = self._known[identity_of("process", wire.process)]
        event = self._known[identity_of("event", wire.event)]
        number = self._handlers.get(wire.handler, 0)
        self._hlc = max(self._hlc + 1, wire.hlc)
        receipt = Receipt(
            process,
            event,
            number,
            wire.segment,
            wire.status,
            wire.hlc,
            wire.delta,
            tuple((self._known.get(identity_of("event", n), 0), self._types[name]) for n, name in wire.outputs),
            wire.started,
            wire.ended,
            wire.attempts,
            wire.error,
            wire.until,
            wire.waits,
        )
        execution = await self._execution(wire, process, event, number)
        self._store.append(
            Commit(
                execution=execution,
                process=process,
                epoch=self._epoch,
                status=wire.status,
                segment=wire.segment,
                attempts=wire.attempts,
                due=wire.until,
                started=wire.started,
                ended=wire.ended,
                waits=wire.waits,
                error=wire.error,
                receipts=(receipt,),
                notes=ranks,  # in one commit: a receipt is applied once
            )
        )

    async def _execution(self, wire: WireReceipt, process: int, event: int, number: int) -> int:
        """The obligation that a receipt is about; 0 if it is about the opening of an event, or about mail.

        A handler that came later than the event's topology, and hears it all the same, is obliged by its first receipt.
        """
        if not number or wire.status in _OF_MAIL:
            return 0
        execution, owing = execution_id(event, number), await self._obliged(event)
        if number not in owing and await self._store.reader.execution(execution) is None:
            gating = any(wire.delta)
            opened = [Obligation(execution, process, gating)]
            self._store.append(Commit(epoch=self._epoch, opened=opened))
            owing[number] = gating
        return execution

    async def _obliged(self, event: int) -> dict[int, bool]:
        """Which handlers an event obliges, as far as its topology says so; and whether each gates."""
        known = self._owing.get(event)
        if known is None:
            stored = await self._store.reader.event(event)
            assert stored is not None, "an event that is known is stored, or was just appended"
            topology = await self._topology(stored.topology)
            subscribers = topology.subscribers(stored.type)
            known = self._owing[event] = {self._handlers[name]: gating for name, gating in subscribers}
        return known

    # Names.

    async def _look_up(self, messages: Sequence[Logged]) -> None:
        """Learn the numbers of all events and processes that these messages speak of, with one query."""
        wanted: set[bytes] = set()
        for message in messages:
            if message.subject.startswith("rcpt."):
                wanted.update(_spoken_of(message))
            elif (wire := public_id(message)) and (process := message.headers.get("ce-correlationid")):
                cause = message.headers.get("ce-causationid", "").partition("/")[0]
                wanted |= {identity_of("event", wire), identity_of("process", process), identity_of("event", cause)}
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        while len(self._owing) > KNOWN_MAX:
            del self._owing[next(iter(self._owing))]
        missing = [identity for identity in wanted if identity not in self._known]
        found = await self._store.reader.doors(missing)
        self._known |= {identity: n for identity, (n, _) in found.items()}


def _spoken_of(message: Logged) -> set[bytes]:
    try:
        processes = {identity_of("process", receipt.process) for receipt in decode_wire(message.data)}
    except DecodeFailed:
        return set()
    return processes | {identity_of("event", wire) for wire in _events_in(message)}


def _events_in(message: Logged) -> set[str]:
    """The public ids of all events that receipts speak of."""
    receipts = decode_wire(message.data)
    return {receipt.event for receipt in receipts} | {wire for receipt in receipts for wire, _ in receipt.outputs}


def _sent_as(envelope: Envelope, wire: str) -> str | None:
    """Under which id a client knows an event that it emitted elsewhere, or may come to know it."""
    if sent_as := envelope.extensions.get(SENT_AS):
        return sent_as
    return identity_of(envelope.source, envelope.id).hex() if envelope.id not in ("", wire) else None
