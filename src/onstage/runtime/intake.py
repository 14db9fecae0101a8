"""The intake: how events of other stores become obligations of this one, each once and in their order.

Theory of operation. What arrives is admitted like an event from outside: one commit that holds the event, an obligation
for each handler here, and its identity at the door, by which a repetition is recognised for ever. A last commit holds
the reader's place; a store forgets only suffixes, so a place that is durable has everything before it. Every emitter
counts its events per subject. A count that leaves one out means that something is missing in the log: what comes
behind it is not taken, and the emitter is asked to send again from there.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.core.commit import Commit, Door, Note, Notes
from onstage.errors import BrokerUnavailable, InvalidEvent, UsageError
from onstage.events.binding import from_message
from onstage.events.envelope import EVENT_BYTES_MAX, Envelope
from onstage.events.subject import control_subject
from onstage.ports.broker import Message
from onstage.runtime.emission import Arrival, Emission
from onstage.runtime.marks import ID, public_id
from onstage.runtime.wire import arrived, from_outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.ports.broker import Broker, Logged
    from onstage.ports.store import Reader
    from onstage.runtime.emission import Route
    from onstage.runtime.node import Node
    from onstage.runtime.registry import Registry
    from onstage.runtime.relay import Relay

__all__ = ["ASK", "BEHIND", "SEND_AGAIN", "SENT_AS", "Intake", "identity_of", "process_known_as"]

SENT_AS: Final = "onstagesentas"
"""The attribute by which an event from outside that was sent on is found: the id that its client was given."""
ASK: Final = "onstage-ask"
SEND_AGAIN: Final = "send again"
BEHIND: Final = "onstage-behind"

PROCESSES_MAX: Final = 100_000
"""How many processes of other stores a node remembers by their public ids; others are looked up."""
ASK_AGAIN_S: Final = 5.0
"""So often at most an emitter is asked again for what is missing of one subject."""

log = logging.getLogger("onstage.intake")
_ENCODE_INT: Final = msgspec.msgpack.Encoder().encode
_DECODE_INT: Final = msgspec.msgpack.Decoder(int).decode


def identity_of(kind: str, name: str) -> bytes:
    """Under which identity an event (`event`) or a process (`process`) of another store is known at the door."""
    return blake2b(f"{kind}\0{name}".encode(), digest_size=16).digest()


async def process_known_as(reader: Reader, name: str) -> int | None:
    """The process that has this public id in another store, or the one of the event that was sent on under it."""
    identities = [identity_of(kind, name) for kind in ("process", "sent")]
    found = await reader.doors(identities)
    for identity in identities:
        if identity in found:
            event = await reader.event(found[identity][0])
            return None if event is None else event.process
    return None


class _Come(NamedTuple):
    """An event that arrived: how it is routed here, and what its emitter said; `rank` is its place in its subject."""

    route: Route
    envelope: Envelope
    wire: str
    subject: str
    rank: int

    @property
    def heard(self) -> str:
        """Under which topic its emitter's count is kept."""
        return f"heard {self.wire.rsplit('-', 2)[0]} {self.subject}"


@final
class Intake:
    """Takes what the readers of one node read."""

    def __init__(self, node: Node, broker: Broker, registry: Registry, relay: Relay) -> None:
        """For this node."""
        self._node = node
        self._broker = broker
        self._registry = registry
        self._relay = relay
        self._lock = asyncio.Lock()
        self._processes: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._asked: dict[str, float] = {}
        self._is_unsettled = False
        self.taken = 0
        self.repeated = 0
        self.gaps = 0

    # Events.

    async def take(self, messages: Sequence[Logged], place: Notes) -> None:
        """Take events in their order; durable when this returns.

        Raises what the store raises, and BrokerUnavailable if a topology is missing; then read them again.
        """
        node = self._node
        async with self._lock:
            if self._is_unsettled:
                await node.settle_window()  # an earlier batch ended half way: the store tells what of it is there
            self._is_unsettled = True
            come = [found for message in messages if (found := self._come(message)) is not None]
            known = await node.store.reader.doors(
                [identity_of("event", each.wire) for each in come]
                + [identity_of("process", str(each.envelope.correlationid)) for each in come]
            )
            counts: dict[str, int] = {}
            for each in come:
                if await self._follows(each, counts):
                    await self._admit(each, known)
            kept = [*place.kept, *(Note(topic, 0, _ENCODE_INT(count)) for topic, count in counts.items())]
            kept += self._registry.notes(node.topologies_kept)
            position = node.append(Commit(epoch=node.epoch, notes=Notes(kept, place.dropped)), None)
            self._is_unsettled = False
            self._counts |= counts
            node.dispatcher.wake()
            node.dispatcher.flush_soon()
        await node.store.durable(position)

    def _come(self, message: Logged) -> _Come | None:
        """What a message holds, None if it is nothing for this node."""
        wire = public_id(message)
        if not wire or self._node.numbers.identity.local(wire) is not None:
            return None  # somebody who speaks to one service does so at its control subject; and what is ours is here
        try:
            envelope = from_message(message.headers, message.data)
            rank = int(envelope.sequence or "")
        except (InvalidEvent, ValueError) as error:
            log.warning("message %s of the log is no event of Onstage: %s", message.seq, error)
            return None
        route = self._node.routes.get(envelope.type)
        if route is None or not (route.triggers or route.waiters) or envelope.correlationid is None:
            return None
        return _Come(route, envelope, wire, message.subject, rank)

    async def _follows(self, come: _Come, counts: dict[str, int]) -> bool:
        """Whether nothing is missing before this one; notes its count then."""
        topic = come.heard
        last = counts.get(topic) or await self._count(topic)
        if last and come.rank > last + 1:
            self.gaps += 1
            await self._ask(come, last)
            return False
        if come.rank > last:
            counts[topic] = come.rank
        return True

    async def _count(self, topic: str) -> int:
        known = self._counts.get(topic)
        if known is None:
            notes = await self._node.store.reader.notes(topic, limit=1)
            known = self._counts[topic] = _DECODE_INT(notes[0].body) if notes else 0
        return known

    async def _ask(self, come: _Come, last: int) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._asked.get(come.heard, -ASK_AGAIN_S) < ASK_AGAIN_S:
            return
        self._asked[come.heard] = now
        service = come.envelope.source.rpartition("/")[2]
        log.warning("the log lacks what comes behind number %s of %s; %s is asked for it", last, come.subject, service)
        subject = control_subject(self._broker.namespace, service)
        headers = {ASK: SEND_AGAIN, BEHIND: str(last), ID: f"{come.wire}-again-{last}"}
        await self._broker.publish([Message(subject, come.subject.encode(), headers)])

    async def _admit(self, come: _Come, known: dict[bytes, tuple[int, bytes]]) -> None:
        identity = identity_of("event", come.wire)
        if identity in known:
            self.repeated += 1
            return
        node, envelope = self._node, come.envelope
        process_id = str(envelope.correlationid)
        process_identity = identity_of("process", process_id)
        process = self._process(process_id, known.get(process_identity))
        emission = Emission(node.numbers)
        arrival = Arrival(
            come.wire,
            process_id,
            process_identity,
            envelope.subject,
            envelope.hlc or 0,
            envelope.topology or 0,
            envelope.data,
            arrived(envelope, come.wire),
            await self._expected(envelope.topology or 0, envelope.type),
        )
        n = emission.arrive(come.route, arrival, process=process, now_ms=node.clock.now_ms())
        node.append(
            Commit(
                epoch=node.epoch,
                events=emission.events,
                opened=emission.opened,
                mail=emission.mail,
                receipts=emission.receipts,
                roots=emission.roots,
                door=Door(identity, b"", n),
            ),
            emission,
        )
        known[identity] = (n, b"")
        self._remember(process_id, process or n)
        self.taken += 1

    def _process(self, process_id: str, stored: tuple[int, bytes] | None) -> int:
        """The number that a process has here, 0 if it is new."""
        own = self._node.numbers.identity.local(process_id)
        if own is not None:
            return own
        if process_id in self._processes:
            return self._processes[process_id]
        return 0 if stored is None else stored[0]

    def _remember(self, process_id: str, process: int) -> None:
        self._processes.pop(process_id, None)
        self._processes[process_id] = process
        while len(self._processes) > PROCESSES_MAX:
            del self._processes[next(iter(self._processes))]

    async def _expected(self, epoch: int, type_name: str) -> frozenset[str]:
        topology = await self._registry.at(epoch)
        if topology is None:
            raise BrokerUnavailable(
                f"topology {epoch} is not in the registry\n  why: the node that made it has not put it back yet\n"
                "  to do: start one of the nodes that knew it; events wait until then"
            )
        return topology.obligations(type_name)

    # What is meant for a service.

    async def control(self, messages: Sequence[Logged], place: Notes) -> None:
        """Take what was sent to one service: events from outside, and requests to send again."""
        node = self._node
        for message in messages:
            if message.headers.get(ASK) == SEND_AGAIN:
                await self._send_again(message)
            else:
                await self._from_outside(message)
        position = node.append(Commit(epoch=node.epoch, notes=place), None)
        node.dispatcher.flush_soon()
        await node.store.durable(position)

    async def _send_again(self, message: Logged) -> None:
        try:
            subject, behind = message.data.decode(), int(message.headers.get(BEHIND, ""))
        except ValueError:
            return
        sent = await self._relay.send_again(subject, behind)
        log.warning("somebody lacks what comes behind number %s of %s; %s events are sent again", behind, subject, sent)

    async def _from_outside(self, message: Logged) -> None:
        """An event from outside that this service decides about. What cannot be admitted is said, and passed over."""
        admission = self._node.admission
        try:
            envelope = from_message(message.headers, message.data)
            if len(envelope.data) > EVENT_BYTES_MAX:
                raise InvalidEvent(f"the payload has {len(envelope.data)} bytes")
            route, data, key = admission.check(envelope.type, envelope.data)
            extra = from_outside(envelope)
            admitted = await admission.admit(
                route, data, key, id=envelope.id, source=envelope.source, extra=extra, forward=False
            )
            await admission.stored(admitted)
        except UsageError as error:
            log.warning("an event from outside was refused: %s", error)
