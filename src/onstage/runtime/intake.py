"""The intake: how events of other stores become obligations of this one, each once and in their order.

Theory of operation. What arrives is admitted like an event from outside: one commit that holds the event, an obligation
for each handler here, and its identity at the door, by which a repetition is recognised for ever. A last commit holds
the reader's place; a store forgets only suffixes, so a place that is durable has everything before it, and it follows
from all of them: if one is refused, the place is not kept. Every emitter counts its events per subject (`strands`);
what comes behind one that is missing is not taken, and the emitter is asked for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.core.commit import Commit, Door, Note, Notes
from onstage.errors import BrokerUnavailable, DuplicateId, InvalidEvent, UsageError
from onstage.events.binding import from_message
from onstage.events.delayed import When
from onstage.events.envelope import Envelope
from onstage.events.process_changed import CHANGED_PREFIX
from onstage.ports.store import Refused
from onstage.runtime.emission import Arrival, Emission, Route
from onstage.runtime.errand import BEGIN, ERRAND
from onstage.runtime.hopeless_apart import IN_VAIN, believe
from onstage.runtime.marks import public_id
from onstage.runtime.outgoing import NUMBER, SERVICE
from onstage.runtime.strands import ASK, Strands, decode_ask, store_in
from onstage.runtime.wave_mail import WAVE
from onstage.runtime.wire import (
    SENT_AS,
    arrived,
    due_of,
    expiry_of,
    from_outside,
    identity_of,
    lifted,
    of_present_version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onstage.ports.broker import Broker, Logged
    from onstage.ports.store import Reader
    from onstage.runtime.asked_from_elsewhere import AskedFromElsewhere
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.node import Node
    from onstage.runtime.registry import Registry
    from onstage.runtime.relay import Relay
    from onstage.runtime.strands import Tally

__all__ = ["Intake", "process_known_as"]

ROUTES_MAX: Final = 10_000
"""How many routes, of a type in a topology, a node remembers; others are worked out again."""
PROCESSES_MAX: Final = 100_000
"""How many processes of other stores a node remembers by their public ids; others are looked up."""

REFUSED: Final = "refused"
"""The topic of events from outside that could not be admitted: whoever sent them was told that they are durable."""
REFUSED_MAX: Final = 1_000
"""So many of them at most are tried again at a start."""

log = logging.getLogger("onstage.intake")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[dict[str, str], bytes]).decode


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

    def __init__(self, node: Node, broker: Broker, registry: Registry, relay: Relay, asked: AskedFromElsewhere) -> None:
        """For this node."""
        self._asked = asked
        self._node = node
        self._registry = registry
        self._relay = relay
        self._processes: dict[str, int] = {}
        self._under_way: dict[bytes, int] = {}
        self._routes: dict[tuple[str, int, int], Route] = {}
        self._missed: set[int] = set()
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
        async with self._asked.lock:
            if self._is_unsettled:
                await node.settle_window()  # an earlier batch ended half way: the store tells what of it is there
            self._is_unsettled = True
            come = [found for message in messages if (found := self._come(message)) is not None]
            known = await node.store.reader.doors(
                [identity_of("event", each.wire) for each in come]
                + [identity_of("process", str(each.envelope.correlationid)) for each in come]
            )
            tally, is_whole = self.strands.begin(), self._from_the_beginning()
            for each in come:
                store, strict = store_in(each.wire), is_whole and self._is_old(each.route)
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

    def durable(self, position: int) -> None:
        """What was admitted up to this position is found in the store."""
        under_way = self._under_way
        while under_way and next(iter(under_way.values())) <= position:
            del under_way[next(iter(under_way))]

    async def _kept(self, position: int, tally: Tally) -> None:
        try:
            await self._node.store.durable(position)
        except Refused:
            self.strands.forget(tally)
            raise

    def _from_the_beginning(self) -> bool:
        return not any(self._registry.joined(name).seq for name in self._node.hosted)

    def _is_old(self, route: Route) -> bool:
        """Whether such events were for this node from the first moment that its service had joined."""
        each = (*route.triggers, *route.waiters)
        return any(0 < self._born(reaction) <= self._registry.first(reaction.service) for reaction in each)

    def _born(self, reaction: Reaction) -> int:
        """The first topology that knew a handler, under whatever name; 0 if none that is known here did."""
        born = (self._registry.born(name) for name in (reaction.name, *reaction.handler.was))
        return min(filter(None, born), default=0)

    def _route_at(self, route: Route, epoch: int) -> Route:
        """The route of an event with this epoch: a handler that came later has no part in it."""
        key = (route.type.name, epoch, len(self._registry.known))
        known = self._routes.get(key)
        if known is None:
            known = Route(route.type, route.type_id, route.starts)
            known.triggers = [reaction for reaction in route.triggers if self._born(reaction) <= epoch]
            known.waiters = [reaction for reaction in route.waiters if self._born(reaction) <= epoch]
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[key] = known
        return known

    def refused(self, commit: Commit) -> None:
        """The store has refused a commit: what it would have made known is not."""
        if commit.door is not None:
            self._under_way.pop(commit.door.identity, None)
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
        if route is None or not (route.triggers or route.waiters or route.decides) or envelope.correlationid is None:
            return None
        service = message.headers.get(SERVICE, "")
        return _Come(route, envelope, wire, message.subject, number, service)

    async def _admit(self, come: _Come, known: dict[bytes, tuple[int, bytes]]) -> list[int]:
        """Append an event unless it is known; answers the position of the commit, if there is one."""
        identity = identity_of("event", come.wire)
        under_way = self._under_way.get(identity)
        if identity in known or under_way is not None:
            self.repeated += 1
            return [] if under_way is None else [under_way]
        node, envelope = self._node, come.envelope
        expected = await self._expected(envelope.topology or 0, envelope.type)
        route = self._route_at(come.route, envelope.topology or 0)
        is_end = come.route.decides and node.numbers.identity.local(str(envelope.correlationid)) is not None
        if not (route.triggers or route.waiters or is_end):
            return []
        envelope, is_lifted = lifted(envelope, route.type)
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
            expected,
            not is_lifted,
        )
        n = emission.arrive(route, arrival, process=process, now_ms=node.clock.now_ms())
        doomed = self._asked.doomed(emission, come.wire)
        position = node.append(emission.commit(node.epoch, door=Door(identity, b"", n), notes=doomed), emission)
        self._under_way[identity] = position  # another reader of this node may come to it before it is durable
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

    async def process(self, process_id: str) -> int:
        """The number that the process with this public id has here, 0 if it is not known."""
        known = self._process(process_id, None)
        if known:
            return known
        identity = identity_of("process", process_id)
        found = await self._node.store.reader.doors((identity,))
        return found[identity][0] if identity in found else 0

    def began(self, process_id: str, process: int) -> None:
        """A process of another store is known here from now on; the lock of `AskedFromElsewhere` is held."""
        self._remember(process_id, process)

    def _remember(self, process_id: str, process: int) -> None:
        self._processes.pop(process_id, None)
        self._processes[process_id] = process
        while len(self._processes) > PROCESSES_MAX:
            del self._processes[next(iter(self._processes))]

    async def _expected(self, epoch: int, type_name: str) -> frozenset[str]:
        if not epoch:
            return frozenset()
        topology = await self._registry.at(epoch)
        if topology is None:
            if epoch not in self._missed:
                self._missed.add(epoch)
                log.warning("topology %s is not in the registry; events with it wait until a node puts it back", epoch)
            raise BrokerUnavailable(
                f"topology {epoch} is not in the registry\n  why: the node that made it has not put it back yet\n"
                "  to do: start one of the nodes that knew it; events wait until then"
            )
        return topology.obligations(type_name)

    # What is meant for a service.

    async def control(self, messages: Sequence[Logged], place: Notes) -> bool:
        """Take what was sent to one service: events from outside, errands, and requests to send again."""
        node, tally, refused = self._node, self.strands.begin(), list[Note]()
        for message in messages:
            if ASK in message.headers:
                await self._send_again(message)
            elif IN_VAIN in message.headers:
                await believe(node, message.data)
            elif not await self._is_next(message, tally):
                self.gaps += 1
            elif WAVE in message.headers:
                await node.waves.heard_from_elsewhere(message.headers, message.data)
            elif message.headers.get(ERRAND, BEGIN) != BEGIN:
                await self._asked.take(message.headers, message.data)
            elif not await self._from_outside(message.headers, message.data):
                refused.append(Note(REFUSED, message.seq, _ENCODE((message.headers, message.data))))
        notes = Notes([*place.kept, *tally.notes, *refused], [*place.dropped, *tally.dropped])
        position = node.append_notes(notes)
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

    async def _from_outside(self, headers: Mapping[str, str], data: bytes) -> bool:
        """Admit an event from outside that this service decides about; whether it could be."""
        admission = self._node.admission
        try:
            envelope = from_message(headers, data)
            due, envelope = due_of(envelope)
            extra, version = of_present_version(from_outside(envelope))
            route, payload, key = admission.check(envelope.type, envelope.data, version)
            when = None if due is None else When(at=due, expires=expiry_of(extra))
            is_request = ERRAND in headers  # it begins a process in any case, and its key may be its id
            is_root = is_request or route.type.name.startswith(CHANGED_PREFIX)
            admitted = await admission.admit(
                route,
                payload,
                key or (envelope.subject if is_request else None),
                id=envelope.id,
                source=envelope.source,
                process=0 if is_root else None,
                extra=extra,
                forward=False,
                when=when,
            )
            await admission.stored(admitted)
            await self._asked.came(envelope.extensions.get(SENT_AS, ""))
        except UsageError as error:
            if isinstance(error, DuplicateId) and headers.get("ce-type", "").startswith(CHANGED_PREFIX):
                return True  # it was told: two observers may number the changes of a process differently
            log.warning("an event from outside was refused, and is tried again at the next start: %s", error)
            return False
        return True

    async def try_refused(self) -> None:
        """Admit what was refused in an earlier life: perhaps by code that did not know its type yet."""
        node = self._node
        for note in await node.store.reader.notes(REFUSED, limit=REFUSED_MAX):
            headers, data = _DECODE(note.body)
            if await self._from_outside(headers, data):
                node.append(Commit(epoch=node.epoch, notes=Notes((), [(REFUSED, note.number, note.number)])), None)
        node.dispatcher.flush_soon()
