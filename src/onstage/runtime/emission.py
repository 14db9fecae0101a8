"""From what is emitted to what is stored: numbers, tokens, obligations, mail, and the deliveries to offer.

One `Emission` gathers everything one commit emits. Routes are worked out once per event type, so the cost per event
does not grow with the number of services or handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Commit, Mail, NewEvent, NewProcess, Obligation, execution_id
from onstage.events.answer import Answer, is_answer
from onstage.events.envelope import hlc_ms, hlc_next
from onstage.events.receipt import Receipt, Status, token
from onstage.runtime.delivery import Delivery, Reaction, lane_key
from onstage.runtime.wire import expiry_of, of_process

if TYPE_CHECKING:
    from collections.abc import Collection

    from onstage.contracts.process import Process
    from onstage.core.commit import Door, Notes
    from onstage.core.identity import Identity
    from onstage.events.event import EventType
    from onstage.ports.store import Opened

__all__ = ["NOTHING", "Arrival", "Emission", "Numbers", "Route"]

AHEAD_MS_MAX: Final = 60_000
"""A clock reading of another node that is further ahead is kept with its event and not adopted."""

_OPENED: Final = int(Status.READY)


@final
class Route:
    """Where events of one type go: `triggers` start executions, `waiters` have a mailbox for it.

    `elsewhere` names the gating obligations that such an event has at other nodes. `answers` says that such an event is
    an answer. Where it `decides`, one of another store is kept if it ends a process that this one keeps.
    """

    __slots__ = ("answers", "decides", "elsewhere", "starts", "triggers", "type", "type_id", "waiters")

    def __init__(self, type: EventType, type_id: int, starts: Process | None) -> None:
        """A route without handlers yet. `starts` is the declared process that such an event begins."""
        self.type = type
        self.type_id = type_id
        self.answers = is_answer(type.name)
        self.starts = starts
        self.triggers: list[Reaction] = []
        self.waiters: list[Reaction] = []
        self.elsewhere: tuple[str, ...] = ()
        self.decides = False


@final
class Numbers:
    """The high-water marks of a node: the next event number and the hybrid logical clock."""

    __slots__ = ("asking", "hlc", "identity", "joined", "next_n", "topology", "waiting")

    def __init__(self, opened: Opened, identity: Identity) -> None:
        """Continue where the store is. `waiting` holds who waits at present, by process << 16 | handler number.

        `asking` holds who waits for an answer, by the number of the request, `joined` who waits for one to another's.
        """
        self.asking: dict[int, Delivery] = {}
        self.joined: dict[int, list[Delivery]] = {}
        self.waiting: dict[int, list[Delivery]] = {}
        self.next_n = opened.next_n
        self.hlc = opened.hlc
        self.topology = opened.topology
        self.identity = identity

    def names(self, process: int, n: int) -> tuple[str, str]:
        """The public ids of a process and an event of this store."""
        return self.identity.wire(process), self.identity.wire(n)

    def hear(self, hlc: int, now_ms: int) -> None:
        """A clock reading came from elsewhere: be behind it, unless it is too far ahead."""
        if hlc <= (now_ms + AHEAD_MS_MAX) << 16:
            self.hlc = max(self.hlc, hlc)


class Arrival(msgspec.Struct, frozen=True):
    """An event of another store: its public id and that of its process, and what its emitter said of it.

    `process_identity` is the one under which the process is looked up, `expected` names the obligations that the
    emitter opened, `extra` is what the row keeps of the attributes. `unread` says that the data is of a version that
    the present class cannot read: whoever is given it learns why.
    """

    wire: str
    process_id: str
    process_identity: bytes
    key: str | None
    hlc: int
    topology: int
    data: bytes
    extra: bytes
    expected: Collection[str]
    unread: bool = False


@final
class Emission(msgspec.Struct, eq=False):
    """What one commit emits; `delta` is the XOR of all tokens it opens."""

    numbers: Numbers
    events: list[NewEvent] = []
    opened: list[Obligation] = []
    mail: list[Mail] = []
    receipts: list[Receipt] = []
    roots: list[NewProcess] = []
    deliveries: list[Delivery] = []
    woken: list[Delivery] = []
    outputs: list[tuple[int, int]] = []
    delta: int = 0

    def emit(
        self,
        route: Route,
        data: bytes,
        key: str | None,
        *,
        now_ms: int,
        process: int = 0,
        process_id: str | None = None,
        cause: int = 0,
        causation: str | None = None,
        extra: bytes | None = None,
        due: int | None = None,
        expires: int | None = None,
    ) -> int:
        """Number one event and open what it obliges to. Process 0 makes it the root of a new one. Answers its n.

        `process_id` is the public id of a process of another store, `causation` that of a cause there. Before `due` no
        handler begins with it, from `expires` on none does (ms). The expiry is written unless `extra` is given.
        """
        numbers = self.numbers
        n = numbers.next_n
        numbers.next_n = n + 1
        hlc = numbers.hlc = hlc_next(numbers.hlc, now_ms)
        is_root = process == 0
        if is_root:
            process = n
            declared = route.starts.name if route.starts else None
            self.roots.append(NewProcess(n, declared, key, now_ms, numbers.identity.wire(n)))
        if extra is None and (causation is not None or expires is not None):
            extra = of_process(process_id, causation, expires=expires)
        self.events.append(NewEvent(n, process, route.type_id, key, cause, hlc, numbers.topology, data, extra))
        if not is_root and cause:
            self.outputs.append((n, route.type_id))
        names = None if process_id is None else (process_id, numbers.identity.wire(n))
        delta = 0
        if route.triggers:
            delta = self._open(route, n, process, data, key, names, due=due, expires=expires, extra=extra)
        if route.waiters or route.answers:
            delta ^= self._mail(route, n, process, data, hlc, names)
        for handler in route.elsewhere:
            delta ^= token(*(names or numbers.names(process, n)), handler, 0)
        if cause and not is_root:
            self.delta ^= delta
        else:
            opened = Receipt(process, n, 0, 0, _OPENED, hlc, delta.to_bytes(16, "big"), (), now_ms, now_ms, names=names)
            self.receipts.append(opened)
        return n

    def arrive(self, route: Route, event: Arrival, *, process: int, now_ms: int) -> int:
        """Number an event of another store and open what it obliges to here. Process 0: it is the first one of its own.

        Its obligations were opened by whoever emitted it, as far as the topology stamped on it knows them; those of
        handlers that have come since are opened here. Answers its n.
        """
        numbers, names = self.numbers, (event.process_id, event.wire)
        n = numbers.next_n
        numbers.next_n = n + 1
        numbers.hear(event.hlc, now_ms)
        if process == 0:
            process = n
            root = NewProcess(n, None, None, hlc_ms(event.hlc), event.process_id, event.process_identity)
            self.roots.append(root)
        self.events.append(
            NewEvent(n, process, route.type_id, event.key, 0, event.hlc, event.topology, event.data, event.extra)
        )
        expires = expiry_of(event.extra)
        self._open(route, n, process, event.data, event.key, names, event.expected, expires=expires, extra=event.extra)
        for delivery in self.deliveries if event.unread else ():
            delivery.data = None
        if route.waiters or route.answers:
            self._mail(route, n, process, event.data, numbers.hlc, names, event.expected)
        late = self._late(route, event.expected, names)
        if late:
            body = late.to_bytes(16, "big")
            self.receipts.append(Receipt(process, n, 0, 0, _OPENED, numbers.hlc, body, (), now_ms, now_ms, names=names))
        return n

    def commit(
        self, epoch: int, *, door: Door | None = None, after: tuple[int, ...] = (), notes: Notes | None = None
    ) -> Commit:
        """What came from outside any execution, as one commit."""
        return Commit(
            epoch=epoch,
            after=after,
            events=self.events,
            opened=self.opened,
            mail=self.mail,
            receipts=self.receipts,
            roots=self.roots,
            door=door,
            notes=notes,
        )

    def _awaiting(self, type_name: str, place: int, about: int | None) -> list[Delivery]:
        """Whom mail wakes at one mailbox: all that wait for its type, or the one that asked for this answer."""
        waiting = self.numbers.waiting
        if not about:
            return [d for d in waiting.get(place, ()) if type_name in d.waits] if about == 0 else []
        asker = self.numbers.asking.get(about)
        if asker is not None:
            # Only the handler counts: what does not gate asks in a process of its own, which is not the asker's.
            return [asker] if asker.reaction.number == place & 0xFFFF else []
        # Taken up again after a start, without its journal: it tells itself what it waits for.
        return [d for d in waiting.get(place, ()) if type_name in d.waits and not d.abouts]

    @staticmethod
    def _late(route: Route, expected: Collection[str], names: tuple[str, str]) -> int:
        owed = [_obliged(reaction, expected) for reaction in route.triggers if reaction.gating]
        owed += [_obliged(reaction, expected, "/wait") for reaction in route.waiters]
        delta = 0
        for name in owed:
            if name not in expected:
                delta ^= token(*names, name, 0)
        return delta

    def _open(
        self,
        route: Route,
        n: int,
        process: int,
        data: bytes,
        key: str | None,
        names: tuple[str, str] | None,
        expected: Collection[str] = (),
        *,
        due: int | None = None,
        expires: int | None = None,
        extra: bytes | None = None,
    ) -> int:
        public = names
        delta = 0
        for reaction in route.triggers:
            x = execution_id(n, reaction.number)
            gating = reaction.gating
            lane = key if reaction.key is None else _lane_of(route.type, reaction.key, data, key)
            delivery = Delivery(x, reaction, process, route.type, lane, 0, None if reaction.wants_envelope else data)
            delivery.names, delivery.extra = names, extra
            if due is not None or expires is not None:
                _set_times(delivery, due, expires)
            delivery.gating = gating
            if gating:
                public = public or self.numbers.names(process, n)
                name = _obliged(reaction, expected) if expected else reaction.name
                delivery.token = token(*public, name, 0)
                delivery.signed = None if name == reaction.name else name
                delta ^= delivery.token
            self.opened.append(Obligation(x, process, gating, due))
            self.deliveries.append(delivery)
        return delta

    def _about(self, data: bytes) -> int | None:
        """The number of the request that an answer is about; None if that was not emitted here."""
        return self.numbers.identity.local(_DECODE_ANSWER(data).about)

    def _mail(
        self,
        route: Route,
        n: int,
        process: int,
        data: bytes,
        hlc: int,
        names: tuple[str, str] | None,
        expected: Collection[str] = (),
    ) -> int:
        # The mailbox is in this very commit, so the obligation of a waiting handler is opened and settled at once:
        # what then happens to the event is part of the execution that takes it, whose own obligation is open.
        public = names or self.numbers.names(process, n)
        delta = 0
        about = self._about(data) if route.answers else 0
        if about:
            self.mail.append(Mail(0, process, n, about))
            self.woken.extend(self.numbers.joined.get(about, ()))
        for reaction in route.waiters:
            awaited = self._awaiting(route.type.name, process << 16 | reaction.number, about)
            if about is not None:
                self.mail.append(Mail(reaction.number, process, n, about))
            self.woken.extend(awaited)
            own = token(*public, _obliged(reaction, expected, "/wait") if expected else f"{reaction.name}/wait", 0)
            delta ^= own
            status = int(Status.CONSUMED if awaited else Status.UNMATCHED)
            receipt = Receipt(process, n, reaction.number, 0, status, hlc, own.to_bytes(16, "big"), names=names)
            self.receipts.append(receipt)
        return delta


@final
class _Nothing:
    """Stands for an emission without events."""

    events = opened = mail = receipts = roots = outputs = ()
    delta = 0


NOTHING: Final = _Nothing()
_DECODE_ANSWER: Final = msgspec.json.Decoder(Answer).decode


def _set_times(delivery: Delivery, due: int | None, expires: int | None) -> None:
    delivery.expires = delivery.deadline = expires
    if due is None:
        return
    delivery.due, delivery.data = due, None  # until then it costs no memory beyond its place among the timers
    if not delivery.reaction.is_ordered:
        delivery.lane = None


def _lane_of(type: EventType, field: str, data: bytes, key: str | None) -> str | None:
    """The lane at a handler with a key of its own; what cannot be decoded is set aside in the lane of the event."""
    try:
        return lane_key(type, field, data)
    except (ValueError, RecursionError):
        return key


def _obliged(reaction: Reaction, expected: Collection[str], kind: str = "") -> str:
    """The name under which an emitter knows an obligation: the present one, or one that the handler had earlier."""
    names = (f"{name}{kind}" for name in (reaction.name, *reaction.handler.was))
    return next((name for name in names if name in expected), f"{reaction.name}{kind}")
