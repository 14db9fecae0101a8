"""The intake: how events of other stores become obligations of this one, each once and in their order.

Theory of operation. What arrives is admitted like an event from outside: one commit that holds the event, an obligation
for each handler here, and its identity at the door, by which a repetition is recognised for ever. A last commit holds
the reader's place; a store forgets only suffixes, so a place that is durable has everything before it, and it follows
from all of them: if one is refused, the place is not kept. Every emitter counts its events per subject (`strands`);
what comes behind one that is missing is not taken, and the emitter is asked for it.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, final

from onstage.core.commit import Commit, Door, Notes
from onstage.errors import BrokerUnavailable, InvalidEvent, UsageError
from onstage.events.binding import from_message
from onstage.events.envelope import Envelope
from onstage.ports.store import Refused
from onstage.runtime.emission import Arrival, Emission
from onstage.runtime.marks import public_id
from onstage.runtime.outgoing import NUMBER, SERVICE
from onstage.runtime.strands import ASK, Strands, decode_ask, store_in
from onstage.runtime.wire import arrived, from_outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.ports.broker import Broker, Logged
    from onstage.ports.store import Reader
    from onstage.runtime.emission import Route
    from onstage.runtime.node import Node
    from onstage.runtime.registry import Registry
    from onstage.runtime.relay import Relay
    from onstage.runtime.strands import Tally

__all__ = ["SENT_AS", "Intake", "identity_of", "process_known_as"]

SENT_AS: Final = "onstagesentas"
"""The attribute by which an event from outside that was sent on is found: the id that its client was given."""

PROCESSES_MAX: Final = 100_000
"""How many processes of other stores a node remembers by their public ids; others are looked up."""

log = logging.getLogger("onstage.intake")


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
    """An event that arrived: how it is routed here, what its emitter said, and its number in its subject."""

    route: Route
    envelope: Envelope
    wire: str
    subject: str
    number: int
    service: str


@final
class Intake:
    """Takes what the readers of one node read."""

    def __init__(self, node: Node, broker: Broker, registry: Registry, relay: Relay) -> None:
        """For this node."""
        self._node = node
        self._registry = registry
        self._relay = relay
        self._lock = asyncio.Lock()
        self._processes: dict[str, int] = {}
        self._is_unsettled = False
        self.strands = Strands(broker, lambda: node.store.reader)
        self.taken = 0
        self.repeated = 0
        self.gaps = 0

    # Events.

    async def take(self, messages: Sequence[Logged], place: Notes) -> bool:
        """Take events in their order; durable when this returns, with the place.

        Raises what the store raises, and BrokerUnavailable if a topology is missing; then read them again.
        """
        node, after = self._node, list[int]()
        async with self._lock:
            if self._is_unsettled:
                await node.settle_window()  # an earlier batch ended half way: the store tells what of it is there
            self._is_unsettled = True
            come = [found for message in messages if (found := self._come(message)) is not None]
            known = await node.store.reader.doors(
                [identity_of("event", each.wire) for each in come]
                + [identity_of("process", str(each.envelope.correlationid)) for each in come]
            )
            tally, strict = self.strands.begin(), self._from_the_beginning()
            for each in come:
                store = store_in(each.wire)
                if await tally.follows(store, each.subject, each.number, each.service, strict=strict):
                    after += await self._admit(each, known)
                else:
                    self.gaps += 1
            kept = [*place.kept, *tally.notes, *self._registry.notes(node.topologies_kept)]
            notes = Notes(kept, [*place.dropped, *tally.dropped])
            position = node.append(Commit(epoch=node.epoch, after=tuple(after), notes=notes), None)
            node.dispatcher.wake()
            node.dispatcher.flush_soon()
            self.strands.settle(tally)
            self._is_unsettled = False
        await self._kept(position, tally)
        return True

    async def _kept(self, position: int, tally: Tally) -> None:
        try:
            await self._node.store.durable(position)
        except Refused:
            self.strands.forget(tally)
            raise

    def _from_the_beginning(self) -> bool:
        return not any(self._registry.joined(name).seq for name in self._node.hosted)

    def refused(self, commit: Commit) -> None:
        """The store has refused a commit: what it would have made known is not."""
        for root in commit.roots:
            self._processes.pop(root.wire_id, None)

    def _come(self, message: Logged) -> _Come | None:
        """What a message holds, None if it is nothing for this node."""
        wire = public_id(message)
        if not wire or self._node.numbers.identity.local(wire) is not None:
            return None  # somebody who speaks to one service does so at its control subject; and what is ours is here
        try:
            envelope = from_message(message.headers, message.data)
            number = int(envelope.sequence or "")
        except (InvalidEvent, ValueError) as error:
            log.warning("message %s of the log is no event of Onstage: %s", message.seq, error)
            return None
        route = self._node.routes.get(envelope.type)
        if route is None or not (route.triggers or route.waiters) or envelope.correlationid is None:
            return None
        service = message.headers.get(SERVICE, "")
        return _Come(route, envelope, wire, message.subject, number, service)

    async def _admit(self, come: _Come, known: dict[bytes, tuple[int, bytes]]) -> list[int]:
        """Append an event unless it is known; answers the position of the commit, if there is one."""
        identity = identity_of("event", come.wire)
        if identity in known:
            self.repeated += 1
            return []
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
        position = node.append(
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
        return [position]

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

    async def control(self, messages: Sequence[Logged], place: Notes) -> bool:
        """Take what was sent to one service: events from outside, and requests to send again."""
        node, tally = self._node, self.strands.begin()
        for message in messages:
            if ASK in message.headers:
                await self._send_again(message)
            elif await self._is_next(message, tally):
                await self._from_outside(message)
            else:
                self.gaps += 1
        notes = Notes([*place.kept, *tally.notes], [*place.dropped, *tally.dropped])
        position = node.append(Commit(epoch=node.epoch, notes=notes), None)
        node.dispatcher.flush_soon()
        self.strands.settle(tally)
        await self._kept(position, tally)
        return True

    @staticmethod
    async def _is_next(message: Logged, tally: Tally) -> bool:
        headers, wire = message.headers, public_id(message)
        number = headers.get(NUMBER, "")
        if not wire or not number.isdigit():
            return True  # somebody else's, who does not count
        service = headers.get(SERVICE, "")
        return await tally.follows(store_in(wire), message.subject, int(number), service, strict=True)

    async def _send_again(self, message: Logged) -> None:
        ask = decode_ask(message.data)
        if ask is not None and (sent := await self._relay.send_again(ask)):
            log.warning("somebody lacks what comes behind number %s of %s; %s are sent again", ask.behind, ask, sent)

    async def _from_outside(self, message: Logged) -> None:
        """An event from outside that this service decides about. What cannot be admitted is said, and passed over."""
        admission = self._node.admission
        try:
            envelope = from_message(message.headers, message.data)
            route, data, key = admission.check(envelope.type, envelope.data)
            extra = from_outside(envelope)
            admitted = await admission.admit(
                route, data, key, id=envelope.id, source=envelope.source, extra=extra, forward=False
            )
            await admission.stored(admitted)
        except UsageError as error:
            log.warning("an event from outside was refused: %s", error)
