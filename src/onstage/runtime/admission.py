"""The doors: how an event from outside becomes part of a process, once.

An event from outside is checked, recognised if it came before (by its source and id), joined to the open process that
has its key and knows its type, or made the root of a new one; and it is durable before anybody is told so.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from onstage.core.commit import Door, RefusedBecause
from onstage.errors import AmbiguousProcess, DuplicateId, InvalidEvent, StoreUnavailable
from onstage.events.answer import START_PREFIX, START_SOURCE, asked_name
from onstage.events.envelope import (
    KEY_BYTES_MAX,
    NAME_BYTES_MAX,
    Envelope,
    check_attribute,
    check_depth,
    check_size,
)
from onstage.events.topic import SYSTEM_PREFIX
from onstage.ports.store import Refused
from onstage.runtime.delaying import timed
from onstage.runtime.emission import Emission
from onstage.runtime.wire import delayed_until, envelope_of_version, expiry_of, from_outside, with_expiry, with_outside
from onstage.runtime.workflow_joins import workflow_joined

if TYPE_CHECKING:
    from onstage.events.delayed import When
    from onstage.events.event import EventType
    from onstage.runtime.emission import Route
    from onstage.runtime.node import Node

__all__ = ["OWN_SOURCE", "Admission", "Admitted", "door_of", "start_door"]

Admitted = tuple[int, int, int, str | None]
"""What was decided about an event: its process, its position (0 if it came before), its number, its id."""


class _Times(NamedTuple):
    """When an event is emitted, is due and expires, in ms."""

    now: int
    due: int | None
    expires: int | None


_PAGE: Final = 1000
OWN_SOURCE: Final = "//onstage/door"


@final
class Admission:
    """Admits events on a node; the only place where processes begin and are joined."""

    def __init__(self, node: Node) -> None:
        """The doors of this node."""
        self._node = node
        self._open: dict[tuple[str, str], list[int]] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._recent: set[bytes] = set()  # identities on their way: whether they are taken is not known yet
        self._order: deque[tuple[int, bytes]] = deque()
        self._fresh: dict[int, int] = {}
        self.known = {p.name: p.known_types(node.manifest.handlers) for p in node.processes}
        self._joins = {name: tuple(p.name for p in node.processes if name in self.known[p.name]) for name in node.types}
        self._single = {p.name for p in node.processes if p.one_per_key}

    async def load(self) -> None:
        """Learn the open declared processes from the store, and what of it is to end."""
        await self._node.marks.load()
        if self._node.exchange is not None:
            await self._node.exchange.joinable.load()
            return
        before: int | None = None
        while page := await self._node.store.reader.processes(open_only=True, before=before, limit=_PAGE):
            for row in reversed(page):
                self.began(row.id, row.declared, row.key)
            before = page[-1].id

    # Admitting.

    async def admit(
        self,
        route: Route,
        data: bytes,
        key: str | None,
        *,
        id: str | None = None,
        source: str | None = None,
        process: int | None = None,
        extra: bytes | None = None,
        forward: bool = True,
        until: int | None = None,
        when: When | None = None,
    ) -> Admitted:
        """Decide on one checked event, and append it; `process_id` answers when it is durable. An empty `id` is none.

        With `process` 0 it is the root of a new one in any case; `until` is its deadline (ms).
        Where another node decides about it, it is kept until it is there, unless `forward` is false: then we do.

        It waits for the disk only if another event with this identity is on its way there. Raises InvalidEvent for an
        id or source that is none, DuplicateId, AmbiguousProcess, or StoreUnavailable; then nothing of it is stored.
        """
        self._node.refuse_in_trouble()
        now_ms = self._node.clock.now_ms()
        due, expires, extra = timed(when, extra, now_ms)
        if when is None and extra is not None:
            expires = expiry_of(extra)
        exchange = self._node.exchange if forward and process is None else None
        owner = None if exchange is None or self._joined(route, key) else exchange.owner(route.type.name)
        if exchange is not None and owner is not None:
            sent = envelope_of_version(_sent_on(route, data, key, id, source, extra), str(route.type.version))
            return exchange.forward(owner, delayed_until(sent, due))
        door = door_of(source or OWN_SOURCE, id, route.type.name, data) if id else None
        if door is not None:
            if door.identity in self._recent:
                await self._node.settle_window()
            found = (await self._node.store.reader.doors((door.identity,))).get(door.identity)
            if found is not None:
                return self._came_before(found[0] if found[1] == door.payload else None, id, route.type.name)
        if process is None:
            process = await workflow_joined(self._node, route, key, self._joined(route, key))
        elif process:
            await self._node.waves.recall(process)
        if id and source is None and self._node.exchange is not None and self._joins[route.type.name]:
            # A copy may be sent on from elsewhere: whoever was told its id there finds it by this one.
            extra = from_outside(_sent_on(route, data, key, id, source, extra))
        elif id and process == 0 and extra is None and self._node.exchange is not None:
            # Likewise a request, which may be asked elsewhere under the same id.
            extra = from_outside(_sent_on(route, data, key, id, source, None))
            extra = extra if until is None else with_expiry(extra, until)
        times = _Times(now_ms, due, until if until is not None else expires)
        return self._append(route, data, key, process=process, door=door, extra=extra, id=id, times=times)

    async def seen(self, door: Door, id: str) -> int | None:
        """The event that was admitted under this identity. Without one, nobody has appended any at the return.

        Raises DuplicateId if it had another payload.
        """
        while True:
            if door.identity in self._recent:
                await self._node.settle_window()
            found = (await self._node.store.reader.doors((door.identity,))).get(door.identity)
            if found is not None:
                return self._came_before(found[0] if found[1] == door.payload else None, id)[2]
            if door.identity not in self._recent:
                return None

    def took(self, door: Door, position: int) -> None:
        """An event was appended at this position under this identity."""
        self._recent.add(door.identity)
        self._order.append((position, door.identity))

    async def process_id(self, admitted: Admitted) -> str:
        """The second half of `emit`: wait for the disk; answers the public id of the process.

        For an event that is sent on it is an id of its own, by which its process is found once its owner has decided.
        """
        _, position, n, name = admitted
        if position and not n:
            await self._node.store.durable(position)
            return str(name)
        return self._node.numbers.identity.wire(await self.stored(admitted))

    async def stored(self, admitted: Admitted) -> int:
        """Wait for the disk; answers the number of the process, for an event that is decided about here."""
        process, position, n, _ = admitted
        event = await self.begun(admitted)
        return process if position and event == n else await self._process_of(event)

    async def begun(self, admitted: Admitted) -> int:
        """Wait for the disk; answers the number of the event, or of the one that came before under its identity."""
        _, position, n, name = admitted
        if not position:
            await self._node.settle_window()
            return n
        try:
            await self._node.store.durable(position)
        except Refused as refused:
            if refused.refusal.because == RefusedBecause.FELLED:
                raise _felled() from None
            if refused.refusal.because != RefusedBecause.DUPLICATE:
                raise
            # Another one with this identity was on its way to the store.
            return self._came_before(refused.refusal.existing, name)[2]
        return n

    def _append(
        self,
        route: Route,
        data: bytes,
        key: str | None,
        *,
        process: int,
        door: Door | None,
        extra: bytes | None,
        id: str | None,
        times: _Times,
    ) -> Admitted:
        node = self._node
        emission = Emission(node.numbers)
        n = self._emit(emission, times, route, data, key, process=process, extra=extra)
        if door is not None:
            door.n = n
        after = (self._fresh[process],) if process in self._fresh else ()
        asked = None if node.exchange is None or door is None else node.exchange.asked
        doomed = None if asked is None or door is None else asked.doomed(emission, door.identity.hex())
        position = node.append(emission.commit(node.epoch, door=door, after=after, notes=doomed), emission)
        if door is not None:
            self.took(door, position)
        if process:
            node.watch.reopened(process)
        node.dispatcher.wake()
        node.dispatcher.flush_soon()
        return process or n, position, n, id

    def _emit(
        self,
        emission: Emission,
        times: _Times,
        route: Route,
        data: bytes,
        key: str | None,
        *,
        process: int,
        extra: bytes | None,
    ) -> int:
        now_ms, due, expires = times
        if due is None:
            return emission.emit(route, data, key, now_ms=now_ms, process=process, extra=extra, expires=expires)
        keep = self._node.delaying.keep
        return keep(emission, route, data, key, due=due, expires=expires, extra=extra, now_ms=now_ms, process=process)

    @staticmethod
    def _came_before(n: int | None, id: str | None, type_name: str = "") -> Admitted:
        """The stored event `n`; None if that has another payload, which raises DuplicateId."""
        if n is None and type_name.startswith(START_PREFIX):
            raise DuplicateId(
                f"{asked_name(type_name)} was started with id {id} before, with another input\n"
                "  why: an id names one run forever\n  to do: draw a new id, or give the same input"
            )
        if n is None:
            raise DuplicateId(
                f"an event with id {id} was admitted before, with another payload\n"
                "  why: an id names one event forever\n  to do: draw a new id, or send the same payload"
            )
        return 0, 0, n, id

    async def _process_of(self, n: int) -> int:
        event = await self._node.store.reader.event(n)
        assert event is not None, "an identity at the door is written with its event"
        return event.process

    # Joining.

    def _joined(self, route: Route, key: str | None) -> int:
        """The open process that takes this event, 0 for a new one."""
        if key is None:
            return 0
        starts = route.starts.name if route.starts else None
        if starts is not None:
            open_ones = self._open.get((starts, key))
            return open_ones[-1] if open_ones and starts in self._single else 0
        candidates = [name for name in self._joins[route.type.name] if (name, key) in self._open]
        if len(candidates) > 1:
            raise AmbiguousProcess(
                f"{route.type.name} with key {key} fits open processes {' and '.join(candidates)}\n"
                "  why: both know this type and have this key\n  to do: say which with process=..."
            )
        return self._open[candidates[0], key][-1] if candidates else 0

    def began(self, process: int, declared: str | None, key: str | None, position: int = 0) -> None:
        """A process has its root: events with its key, of types it knows, join it from now on."""
        if declared is None or key is None:
            return
        self._open.setdefault((declared, key), []).append(process)
        if position:
            self._fresh[process] = position  # until it is durable, what joins it follows from it
        self._names[process] = (declared, key)

    def is_open(self, process: int) -> bool:
        """Whether this is a declared process with a key that is known to be open: no answer about others."""
        return process in self._names

    def closed(self, process: int) -> None:
        """A process is quiescent: events with its key no longer join it."""
        name = self._names.pop(process, None)
        if name is None:
            return
        ids = self._open[name]
        ids.remove(process)
        if not ids:
            del self._open[name]

    def durable(self, position: int) -> None:
        """Identities and roots up to this position are found in the store."""
        fresh = self._fresh
        while fresh and next(iter(fresh.values())) <= position:
            del fresh[next(iter(fresh))]
        order = self._order
        while order and order[0][0] <= position:
            self._recent.discard(order.popleft()[1])

    # Checking.

    def check(self, type_name: str, data: bytes, version: int | None = None) -> tuple[Route, bytes, str | None]:
        """Check the type and payload of an event from outside; answers its route, its payload as stored, its key.

        `version` is the one that the payload was written as, if it says so. Raises InvalidEvent, with the reason.
        """
        route = self._node.routes.get(type_name)
        if route is None:
            known = ", ".join(sorted(name for name in self._node.routes if not name.startswith(SYSTEM_PREFIX))[:10])
            raise InvalidEvent(
                f"unknown event type {type_name[:NAME_BYTES_MAX]!r}\n"
                "  why: no handler or process of this app names it\n"
                f"  to do: {f'use one of {known}' if known else 'give App(...) a service that handles it'}"
            )
        check_size(type_name, data, self._node.event_bytes_max)
        check_depth(data)
        try:
            event = route.type.decode(data) if version is None else route.type.read(data, version)
            return route, route.type.encode(event), self.key_of(route, event)
        except InvalidEvent:
            raise
        except Exception as error:  # the class's own code may raise anything
            raise InvalidEvent(
                f"{_not_fitting(route.type)}\n  why: {error}\n"
                f"  to do: correct it as the class at {route.type.where} says"
            ) from error

    def key_of(self, route: Route, event: Any) -> str | None:
        """The business key of an event, within its limit. Raises InvalidEvent."""
        key = route.type.key_of(event)
        if key is not None and len(key.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
            raise InvalidEvent(
                f"{route.type.name}: the key is longer than {KEY_BYTES_MAX} bytes\n"
                "  why: keys are looked up and shown everywhere\n  to do: use a shorter one"
            )
        return key


def _felled() -> StoreUnavailable:
    return StoreUnavailable(
        "this event was not stored\n  why: the store refused the event that began the process it was to join\n"
        "  to do: send it again"
    )


def _sent_on(
    route: Route, data: bytes, key: str | None, id: str | None, source: str | None, extra: bytes | None
) -> Envelope:
    """The envelope in which an event from outside goes to the node that decides about it; its id may be empty."""
    door = Envelope(id=id or "", source=source or OWN_SOURCE, type=route.type.name, subject=key, data=data)
    return door if extra is None else with_outside(door, extra)


def start_door(workflow: str, id: str, type_name: str, data: bytes) -> Door:
    """The identity of the start of a workflow under this id: the same from outside and as a child."""
    return door_of(f"{START_SOURCE}/{workflow}", id, type_name, data)


def door_of(source: str, id: str, type_name: str, data: bytes) -> Door:
    """The identity of an event from outside. Raises InvalidEvent for an id or source that is none."""
    # Without control characters in them, two texts joined by one of these stay two.
    check_attribute("source", source)
    check_attribute("id", id)
    identity = blake2b(f"{source}\0{id}".encode(), digest_size=16).digest()
    payload = blake2b(type_name.encode() + b"\0" + data, digest_size=16).digest()
    return Door(identity, payload, 0)


def _not_fitting(known: EventType) -> str:
    if known.name.startswith(START_PREFIX):
        return f"{asked_name(known.name)}: the input does not fit its parameter"
    return f"{known.name}: the payload does not fit {known.cls.__qualname__}"
