"""Tidings: changes of verdict that an observer found, on their way to the handlers that hear them.

Theory of operation. Nothing runs at an observer, and it may be thrown away, or be one of several. So it emits nothing:
a change is a note in the commit that finds it, and goes as an event from outside to the service that has heard such
events for the longest time, under an id made of the process and of what changed. That service's door knows the id for
ever, so it is told once, however often and by however many it is sent; from there it goes on as any event does. The
note stays, and the event is sent again, until it stands in the log: an observer that begins anew finds there what was
told before it.

Two observers fold receipts in orders that differ a little, and one may see an end that the other never saw, because
something came from outside just then. So the last that is known of the end of a process takes the place of what came
before it, unless that was told already, and is called by how much has come from outside until then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.core.commit import Commit, Note, Notes
from onstage.errors import BrokerUnavailable, StoreUnavailable
from onstage.events.binding import to_headers
from onstage.events.envelope import Envelope
from onstage.events.process_changed import CHANGED_TYPES
from onstage.events.subject import control_subject
from onstage.ports.broker import Message
from onstage.ports.store import Refused
from onstage.runtime.marks import ID
from onstage.runtime.registry import EPOCHS_BEGAN_MS
from onstage.runtime.task_end import end_tasks
from onstage.runtime.wire import SENT_AS, identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from onstage.contracts.topology import Topology
    from onstage.ports.broker import Broker
    from onstage.ports.store import Store
    from onstage.runtime.registry import Registry

__all__ = ["MONITOR_SOURCE", "TIDINGS", "TIDINGS_KEPT_MAX", "Tiding", "Tidings", "are_heard"]

TIDINGS: Final = "tiding"
"""The topic of changes that do not stand in the log yet."""
TIDINGS_KEPT_MAX: Final = 100_000
"""So many changes at most wait until they stand in the log; then the oldest are forgotten."""
MONITOR_SOURCE: Final = "//onstage/monitor"
BEFORE_MS: Final = 60_000
"""What changed longer than this before anybody subscribed is history, and not told."""
PAGE: Final = 200
LOOK_S: Final = 0.5
AGAIN_S: Final = 4.0
AGAIN_S_MAX: Final = 64.0
"""What does not stand in the log yet is sent again after so long, then less and less often."""
log = logging.getLogger("onstage.monitor")


class Tiding(msgspec.Struct, frozen=True):
    """A change as it is kept: of which type, its id, when it happened (ms), and the event's payload.

    `ends` is the process if it says whether that has ended; a later one of these takes its place.
    """

    type: str
    id: str
    at: int
    data: bytes
    ends: str = ""


class _Sent(NamedTuple):
    """When a change is to be sent again, and how long it waits after that."""

    due_s: float
    pause_s: float


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Tiding).decode


def are_heard(topologies: Iterable[Topology]) -> bool:
    """Whether a handler of any of these subscribes to changes of verdict."""
    return any(topology.subscribers(known.name) for topology in topologies for known in CHANGED_TYPES.values())


@final
class Tidings:
    """Sends the changes that one observer finds. `begin` it on an open store, `close` it before the store."""

    def __init__(self, broker: Broker, registry: Registry, is_current: Callable[[], bool]) -> None:
        """Nothing is sent unless it `is_current`: until then what was told may stand in the log behind."""
        self._broker = broker
        self._registry = registry
        self._is_current = is_current
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sent: dict[int, _Sent] = {}
        self._newest: dict[str, int] = {}
        self._first = 1
        self._last = 0

    async def begin(self, store: Store, epoch: int) -> None:
        """Take up what waits, and send."""
        self._store, self._epoch = store, epoch
        self._sent.clear()
        self._newest.clear()
        oldest = await store.reader.notes(TIDINGS, limit=1)
        after = -1
        while page := await store.reader.notes(TIDINGS, after=after, limit=PAGE):
            self._newest |= {tiding.ends: note.number for note in page if (tiding := _DECODE(note.body)).ends}
            after = page[-1].number
        self._last = max(self._last, after, 0)
        self._first = oldest[0].number if oldest else self._last + 1
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Send no more; what waits is sent by the next one."""
        await end_tasks(self._task)

    def notes(self, tidings: Sequence[Tiding]) -> Notes:
        """The notes that keep those of these that a handler hears; for the commit that finds the changes."""
        kept: list[Note] = []
        for tiding in tidings:
            if self._listener(tiding) is not None:
                self._last += 1
                kept.append(Note(TIDINGS, self._last, _ENCODE(tiding)))
                if tiding.ends:
                    self._newest[tiding.ends] = self._last
        dropped: list[tuple[str, int, int]] = []
        if self._last - self._first >= TIDINGS_KEPT_MAX:
            first = self._last - TIDINGS_KEPT_MAX + 1
            log.warning("%s changes of verdict are forgotten: no service takes them", first - self._first)
            dropped.append((TIDINGS, self._first, first - 1))
            self._first = first
            kept = [note for note in kept if note.number >= first]
        if kept:
            self._wake.set()
        return Notes(kept, dropped)

    def _listener(self, tiding: Tiding) -> str | None:
        """The service that is told: the one that has heard this type the longest, so that it is always the same."""
        registry = self._registry
        services = {each.name: each.service for each in registry.current.handlers}
        hearing = [name for name, _ in registry.current.subscribers(tiding.type)]
        born, service = min(((registry.born(name), services[name]) for name in hearing), default=(0, None))
        is_history = tiding.at < EPOCHS_BEGAN_MS + born * 1000 - BEFORE_MS
        return None if is_history else service

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                is_empty = self._is_current() and not await self._look()
            except (BrokerUnavailable, StoreUnavailable, Refused) as error:
                log.debug("changes of verdict are not told for a moment: %s", error)
                is_empty = False
            except Exception:
                log.exception("telling changes of verdict failed; it is tried again")
                is_empty = False
            if not is_empty:
                self._wake.set()
                await asyncio.sleep(LOOK_S)

    async def _look(self) -> bool:
        """Forget what stands in the log, and send what is due of the rest; whether there was anything."""
        self._store.flush()
        await self._store.durable(self._store.appended)
        after, is_any = self._first - 1, False
        while page := await self._store.reader.notes(TIDINGS, after=after, limit=PAGE):
            is_any, after = True, page[-1].number
            tidings = {note.number: _DECODE(note.body) for note in page}
            identities = {number: identity_of("sent", _name(tiding)) for number, tiding in tidings.items()}
            there = await self._store.reader.doors(list(identities.values()))
            done = {n for n, tiding in tidings.items() if identities[n] in there or self._is_outdated(n, tiding)}
            await self._send({n: tiding for n, tiding in tidings.items() if n not in done})
            await self._forget({n: tidings[n] for n in done})
        return is_any

    def _is_outdated(self, number: int, tiding: Tiding) -> bool:
        return bool(tiding.ends) and self._newest.get(tiding.ends, number) > number

    async def _send(self, tidings: dict[int, Tiding]) -> None:
        now, messages, gone = asyncio.get_running_loop().time(), list[Message](), dict[int, Tiding]()
        for number, tiding in tidings.items():
            sent = self._sent.get(number, _Sent(now, AGAIN_S))
            if sent.due_s > now:
                continue
            service = self._listener(tiding)
            if service is None:
                gone[number] = tiding
                continue
            messages.append(self._message(service, tiding))
            self._sent[number] = _Sent(now + sent.pause_s, min(2 * sent.pause_s, AGAIN_S_MAX))
        if messages:
            await self._broker.publish(messages)
        await self._forget(gone)

    def _message(self, service: str, tiding: Tiding) -> Message:
        said = Envelope(
            id=tiding.id,
            source=MONITOR_SOURCE,
            type=tiding.type,
            data=tiding.data,
            extensions={SENT_AS: _name(tiding)},
        )
        return Message(control_subject(self._broker.namespace, service), tiding.data, to_headers(said) | {ID: ""})

    async def _forget(self, tidings: dict[int, Tiding]) -> None:
        if not tidings:
            return
        dropped = [(TIDINGS, number, number) for number in tidings]
        position = self._store.append(Commit(epoch=self._epoch, notes=Notes((), dropped)))
        self._store.flush()
        await self._store.durable(position)
        for number, tiding in tidings.items():
            self._sent.pop(number, None)
            if self._newest.get(tiding.ends) == number:
                del self._newest[tiding.ends]


def _name(tiding: Tiding) -> str:
    """Under which id the event is found in the log."""
    return identity_of(MONITOR_SOURCE, tiding.id).hex()
