"""Asking from outside at a node whose store does not answer: the request goes to the service that does.

Theory of operation. What is asked, started or cancelled here for a service that runs on another store is an *errand*: a
message at that service's control subject, kept as a forward is, so it survives both nodes and the broker. A request is
named by its identity at the answerer's door (source and id): so whoever asks the same under the same id, at whatever
node, names the same request, and knows the name before it has arrived. Whoever waits for an answer sends the *want* of
it once; the answer comes back as an event at the control subject of the one who wants it, and is kept. The cancel of a
child goes the same way: it is first a mark of the child, in the commit that tells its parent.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.core.commit import Note, Notes, event_of
from onstage.errors import DuplicateId, StoreUnavailable, UsageError
from onstage.events.binding import to_headers
from onstage.events.envelope import Envelope
from onstage.ports.store import Refused
from onstage.runtime.admission import OWN_SOURCE, door_of
from onstage.runtime.cancelling import MARK, is_elsewhere
from onstage.runtime.errand import BEGIN, CANCEL, ERRAND, WANT, Want, encode_want, number_of
from onstage.runtime.wire import SENT_AS, envelope_of_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from onstage.runtime.emission import Route
    from onstage.runtime.errand import Send
    from onstage.runtime.node import Node
    from onstage.runtime.registry import Registry

__all__ = ["ERRANDS", "AskingElsewhere"]

ERRANDS: Final = "errand"
"""The topic of the notes of an asker: what it has asked elsewhere, and the answer. Numbers are those of `number_of`."""
PAUSE_S: Final = 1.0

log = logging.getLogger("onstage.exchange")


@final
class _Errand(msgspec.Struct, frozen=True, array_like=True):
    """What a store knows of a request that it has sent elsewhere, or whose answer is wanted here."""

    name: str
    payload: bytes = b""
    begun: bool = False
    wanted: bool = False
    answer: bytes | None = None


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Errand).decode


@final
class AskingElsewhere:
    """The errands that one node sends, and the answers it waits for."""

    def __init__(self, node: Node, send: Send, registry: Registry) -> None:
        """For this node; nothing is sent yet."""
        self._node = node
        self._send_to = send
        self._registry = registry
        self._lock = asyncio.Lock()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._closed = False

    def start(self) -> None:
        """Send the cancels that an earlier life has not sent."""
        self.cancels(self._node.marks.elsewhere)

    def close(self) -> None:
        """Nobody will be told any more."""
        self._closed = True
        for name in tuple(self._waiters):
            self._wake(name)

    def service(self, type_name: str | None) -> str | None:
        """The service that answers requests of this type on another store; None if it runs here, or nobody does."""
        for each in (*self._node.manifest.handlers, *self._registry.current.handlers):
            if type_name is not None and each.answers == type_name:
                return None if each.service in self._node.hosted else each.service
        return None

    # Beginning.

    async def begin(
        self, service: str, route: Route, data: bytes, key: str | None, start: Mapping[str, Any], until: int | None
    ) -> str:
        """Send a request to the service that answers it; durable here when this returns. Answers its name.

        `start` has its `id` and `source`, each may be None; `until` is its deadline (ms). Raises DuplicateId if another
        one was asked here under this id, InvalidEvent for an id or source that is none.
        """
        node = self._node
        node.refuse_in_trouble()
        named, source = start["id"] or node.clock.token(16).hex(), start["source"] or OWN_SOURCE
        door = door_of(source, named, route.type.name, data)
        name = door.identity.hex()
        async with self._lock:
            known = await self._known(name)
            if known.payload and known.payload != door.payload:
                raise DuplicateId(
                    f"a request with id {named} was asked before, with another payload\n"
                    "  why: an id names one request forever\n  to do: draw a new id, or ask the same"
                )
            if known.begun:
                return name
            asked = Envelope(id=named, source=source, type=route.type.name, subject=key, data=data)
            expires = None if until is None else datetime.fromtimestamp(until / 1000, UTC)
            asked = msgspec.structs.replace(asked, expirytime=expires, extensions={SENT_AS: name})
            headers = to_headers(envelope_of_version(asked, str(route.type.version))) | {ERRAND: BEGIN}
            await self._send(service, headers, data, msgspec.structs.replace(known, payload=door.payload, begun=True))
        return name

    # Answers.

    async def answer(self, service: str, name: str, timeout_s: float | None) -> bytes | None:
        """The payload of the answer to a request that `service` answers; None if none has come within `timeout_s`.

        Raises StoreUnavailable if the node is stopped meanwhile.
        """
        loop = asyncio.get_running_loop()
        give_up = None if timeout_s is None else loop.time() + timeout_s
        while True:
            if self._closed:
                raise StoreUnavailable("the node was stopped\n  why: it waits for nothing any more\n  to do: ask again")
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.setdefault(name, []).append(waiter)
            try:
                found = await self._wanted(service, name)
                if found is not None:
                    return found
                async with asyncio.timeout_at(give_up):
                    await waiter
            except TimeoutError:
                return (await self._known(name)).answer
            finally:
                self._forget(name, waiter)

    async def _wanted(self, service: str, name: str) -> bytes | None:
        async with self._lock:
            known = await self._known(name)
            if known.answer is None and not known.wanted:
                want = Want(name, min(self._node.hosted), known.payload)
                errand = msgspec.structs.replace(known, wanted=True)
                await self._send(service, {ERRAND: WANT}, encode_want(want), errand)
            return known.answer

    async def arrived(self, name: str, data: bytes) -> None:
        """The answer to a request has come; durable when this returns."""
        async with self._lock:
            known = await self._known(name)
            if known.answer is None:
                node = self._node
                errand = msgspec.structs.replace(known, answer=data)
                position = node.append_notes(Notes([self._note(errand)]))
                await node.store.durable(position)
        self._wake(name)

    def _wake(self, name: str) -> None:
        for waiter in self._waiters.pop(name, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _forget(self, name: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(name, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(name, None)

    # Cancels.

    async def control(self, service: str, action: str, name: str) -> str:
        """Send a cancel to whoever answers this request; durable here when this returns. Answers what was done.

        Raises UsageError for any other action.
        """
        if action != CANCEL:
            raise UsageError(
                f"{action} was asked for what {service} answers, which runs on another store\n"
                "  why: only a cancel travels: it is told to its handler, whenever it arrives\n"
                f"  to do: cancel it, or {action} it at the store of {service}"
            )
        position = self._send_to(service, {ERRAND: CANCEL}, name.encode())
        await self._node.store.durable(position)
        return f"the cancel is on its way to {service}"

    def cancels(self, children: Iterable[int]) -> None:
        """Children were marked: those that run elsewhere are told there."""
        for child in children:
            if is_elsewhere(child):
                self._node.spawn(self._cancel_child(child))

    async def _cancel_child(self, child: int) -> None:
        node = self._node
        while True:
            try:
                await node.settle_window()
                found = await node.store.reader.notes(MARK, after=child - 1, limit=1)
                event = await node.store.reader.event(event_of(child))
                if event is None or not found or found[0].number != child:
                    return  # the commit that marked it was refused, or it was told already
                service = self.service(event.type)
                if service is None:
                    log.error("the workflow of %s is to be cancelled, and no service has it any more", event.type)
                    return
                name = node.numbers.identity.wire(event.n)
                dropped = [(MARK, child, child)]
                await node.store.durable(self._send_to(service, {ERRAND: CANCEL}, name.encode(), dropped=dropped))
                node.marks.ended(child)
            except (StoreUnavailable, Refused) as error:
                log.debug("the cancel of a child is not sent yet: %s", error)
                await asyncio.sleep(PAUSE_S)
            else:
                return

    # What is noted.

    async def _known(self, name: str) -> _Errand:
        number = number_of(name)
        notes = await self._node.store.reader.notes(ERRANDS, after=number - 1, limit=1)
        found = _DECODE(notes[0].body) if notes and notes[0].number == number else None
        return found if found is not None and found.name == name else _Errand(name)

    @staticmethod
    def _note(errand: _Errand) -> Note:
        return Note(ERRANDS, number_of(errand.name), _ENCODE(errand))

    async def _send(self, service: str, headers: Mapping[str, str], data: bytes, errand: _Errand) -> None:
        position = self._send_to(service, headers, data, [self._note(errand)])
        await self._node.store.durable(position)
