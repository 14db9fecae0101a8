"""The observer: reads the whole log and folds it into a store of its own, in the tables that every store has.

Theory of operation. It decides nothing about anything. Of each event it makes the commit that its emitter would have
made if all handlers were here: the event, and an obligation for each that the topology stamped on it names. Of each
receipt it makes the commit that settles one, or tells how it stands. Both go through the same batch as in a node, so
its ledger, its verdicts and all that shows them are the same code. It can be stopped, thrown away and begun anew: its
rows follow from the log alone.

What arrives before what it belongs to (a receipt before its event, an event before its root; only after the log lost
its end and services published it again in another order) is laid aside in memory, and the place is not moved until it
has found its match.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Commit, Door, NewEvent, NewProcess, Note, Notes, Obligation, execution_id
from onstage.errors import BrokerUnavailable, InvalidEvent
from onstage.events.binding import from_message
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import OPEN_MAX, Receipt, Status
from onstage.events.wire_receipt import WireReceipt, decode_wire
from onstage.runtime.intake import SENT_AS, identity_of
from onstage.runtime.marks import public_id
from onstage.runtime.relay import FIRST, WRITER
from onstage.runtime.wire import arrived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.contracts.topology import Topology
    from onstage.events.envelope import Envelope
    from onstage.ports.broker import Logged
    from onstage.ports.store import Opened, Store
    from onstage.runtime.registry import Registry

__all__ = ["NamesChanged", "Observer"]

KNOWN_MAX: Final = 200_000
"""How many events and processes an observer remembers by their public ids; others are looked up."""
_ENCODE_INT: Final = msgspec.msgpack.Encoder().encode
_DECODE_INT: Final = msgspec.msgpack.Decoder(int).decode
log = logging.getLogger("onstage.observer")


class NamesChanged(Exception):
    """The topology names handlers or types that the store does not know yet: open it anew."""


@final
class Observer:
    """Folds messages of the log into one open store."""

    def __init__(self, store: Store, opened: Opened, registry: Registry) -> None:
        """On this store, which was opened with the names of the registry's current topology."""
        self._store = store
        self._registry = registry
        self._epoch = opened.epoch
        self._types = {name: number for (name, _), number in opened.types.items()}
        self._handlers = opened.handlers
        self._next_n = opened.next_n
        self._hlc = opened.hlc
        self._known: dict[bytes, int] = {}
        self._ranks: dict[str, int] = {}
        self._early: dict[int, Logged] = {}
        self.events = 0
        self.receipts = 0
        self.gaps = 0

    async def take(self, messages: Sequence[Logged], place: Notes) -> None:
        """Fold messages in their order; durable when this returns."""
        await self._look_up(messages)
        for message in messages:
            if not await self._fold(message):
                self._early[message.seq] = message
        await self._fold_early()
        # While something is laid aside, whoever begins anew reads from the last place that lacked nothing.
        notes = Notes() if self._early else place
        position = self._store.append(Commit(epoch=self._epoch, notes=notes))
        self._store.flush()
        await self._store.durable(position)

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
        self._append_event(envelope, wire, identity, process, topology)
        self.events += 1
        return True

    async def _topology(self, epoch: int) -> Topology:
        topology = await self._registry.at(epoch)
        if topology is None:
            raise BrokerUnavailable(
                f"topology {epoch} is not in the registry\n  why: the node that made it has not put it back yet\n"
                "  to do: start one of the nodes that knew it; the observer waits"
            )
        if any(each.name not in self._handlers for each in topology.handlers):
            raise NamesChanged
        if any(each.name not in self._types for each in topology.types):
            raise NamesChanged
        return topology

    def _append_event(self, envelope: Envelope, wire: str, identity: bytes, process: int, topology: Topology) -> None:
        n = self._next_n
        self._next_n = n + 1
        roots: list[NewProcess] = []
        if not process:
            process, declared = n, topology.process_started_by(envelope.type)
            root_identity = identity_of("process", wire)
            started, name = hlc_ms(envelope.hlc or 0), declared and declared.name
            roots.append(NewProcess(n, name, envelope.subject, started, wire, root_identity))
            self._known[root_identity] = n
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
            Obligation(execution_id(n, self._handlers[name]), process, gating)
            for name, gating in topology.subscribers(envelope.type)
        ]
        if sent_as := envelope.extensions.get(SENT_AS):
            # Before the event: the number is the same after a crash, since the log gives the same order.
            self._store.append(Commit(epoch=self._epoch, door=Door(identity_of("sent", sent_as), b"", n)))
        door = Door(identity, b"", n)
        self._store.append(Commit(epoch=self._epoch, events=[event], opened=opened, roots=roots, door=door))
        self._known[identity] = n

    def _cause(self, causation: str | None) -> int:
        event, _, handler = (causation or "").partition("/")
        n, number = self._known.get(identity_of("event", event)), self._handlers.get(handler)
        return 0 if n is None or number is None else execution_id(n, number)

    # Receipts.

    async def _bundle(self, message: Logged) -> bool:
        try:
            receipts = decode_wire(message.data)
            writer, first = message.headers[WRITER], int(message.headers[FIRST])
        except (DecodeFailed, KeyError, ValueError) as error:
            log.warning("message %s of the log holds no receipts: %s", message.seq, error)
            return True
        topic = f"heard {writer}"
        last = await self._rank(topic)
        if first > last + 1:
            self.gaps += 1
            return False
        fresh = receipts[last + 1 - first :]
        if any(identity_of("event", receipt.event) not in self._known for receipt in fresh):
            return False
        for rank, receipt in enumerate(fresh, last + 1):
            self._append_receipt(receipt, Note(topic, 0, _ENCODE_INT(rank)))
            self._ranks[topic] = rank
        self.receipts += len(fresh)
        return True

    async def _rank(self, topic: str) -> int:
        known = self._ranks.get(topic)
        if known is None:
            notes = await self._store.reader.notes(topic, limit=1)
            known = self._ranks[topic] = _DECODE_INT(notes[0].body) if notes else 0
        return known

    def _append_receipt(self, wire: WireReceipt, rank: Note) -> None:
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
        execution = execution_id(event, number) if self._is_execution(wire) else 0
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
                notes=Notes((rank,)),  # in one commit: a receipt is applied once
            )
        )

    @staticmethod
    def _is_execution(wire: WireReceipt) -> bool:
        """Whether it is about an execution, not about the opening of an event or about mail."""
        return bool(wire.handler) and (wire.status <= OPEN_MAX or wire.status <= Status.DROPPED)

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
        missing = [identity for identity in wanted if identity not in self._known]
        found = await self._store.reader.doors(missing)
        self._known |= {identity: n for identity, (n, _) in found.items()}
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]


def _spoken_of(message: Logged) -> set[bytes]:
    try:
        receipts = decode_wire(message.data)
    except DecodeFailed:
        return set()
    events = {identity_of("event", receipt.event) for receipt in receipts}
    return events | {identity_of("process", receipt.process) for receipt in receipts}
