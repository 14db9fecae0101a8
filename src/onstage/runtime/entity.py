"""Keyed state: one value per (service, name, key), read with its version and written with the execution that read it.

Theory of operation. A reading is journaled with the value it found, so replay sees the same. A new value is an entry
and a row of the execution's next commit; the store refuses the commit if the row has another version than the one
that was read, and the execution is run again. Handlers of a service that keep state share their lanes
(`runtime/routing.py`), so this comes about only for one that has let go of its lane. Where the old value is in the
journal already, running again would change nothing: `set` raises `StateChanged` then. It does so on every replay,
because a version only grows.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, final

from onstage.core.commit import StateWrite
from onstage.core.journal import StateRead, StateWritten, fingerprint
from onstage.core.requests import DivergedAnswer, Recorded, StateReadRequest, StateWriteRequest
from onstage.errors import NotInExecution, StateChanged, UsageError
from onstage.events.codec import DecodeFailed, NoCodec, codec_for
from onstage.ports.store import Refused
from onstage.runtime.attempts import ask
from onstage.runtime.call import Call, active, calling_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.events.codec import Codec
    from onstage.ports.store import StateView, Store
    from onstage.runtime.frame import Frame

__all__ = ["STATE_BYTES_MAX", "STATE_KEY_CHARS_MAX", "Entities", "Entity", "load"]

STATE_BYTES_MAX: Final = 1 << 20
STATE_KEY_CHARS_MAX: Final = 1_024
T = TypeVar("T")


@final
class Entities:
    """Which keyed states have a change that is not durable yet: whoever reads one waits for it."""

    def __init__(self, store: Store) -> None:
        """The states in this store."""
        self._store = store
        self._recent: dict[tuple[str, str], int] = {}
        self._order: deque[tuple[int, tuple[str, str]]] = deque()

    def appended(self, position: int, writes: Sequence[StateWrite]) -> None:
        """These changes were appended at `position`."""
        for write in writes:
            place = (write.state, write.key)
            self._recent[place] = position
            self._order.append((position, place))

    def durable(self, position: int) -> None:
        """Changes up to this position can be read from the store."""
        order, recent = self._order, self._recent
        while order and order[0][0] <= position:
            at, place = order.popleft()
            if recent.get(place) == at:
                del recent[place]

    async def row(self, state: str, key: str) -> StateView | None:
        """The state as it is once every change of it that was appended is durable or refused."""
        while (pending := self._recent.get((state, key))) is not None:
            with suppress(Refused):  # then it is as it was before
                await self._store.durable(pending)
            self.durable(pending)
        return await self._store.reader.state(state, key)


@final
class Entity(Generic[T]):
    """One keyed state, as the execution that read it sees and changes it. Made by `state(...)`.

    `value` is None if nothing is kept under the key; `version` counts the changes for ever, 0 before the first one.
    Do not change `value` in place: only `set` and `clear` are written.
    """

    __slots__ = ("_codec", "_frame", "_seen", "_state", "key", "value", "version")

    def __init__(self, frame: Frame, state: str, key: str, codec: Codec[T], entry: StateRead) -> None:
        """Show what was read."""
        self._frame = frame
        self._state = state
        self._codec = codec
        self._seen: int | None = None
        self.key: Final = key
        self.version = entry.version
        self.value: T | None = None if entry.data is None else _opened(codec, state, entry.data)

    def get(self, default: T) -> T:
        """The value, or `default` if there is none."""
        return default if self.value is None else self.value

    def set(self, value: T) -> None:
        """Keep a new value: it is written with the execution's next durable call or its end, in the same commit.

        Raises StateChanged if another execution has changed it since it was read here, UsageError if it cannot be
        stored. A later failure or `Reject` of the handler does not take it back.
        """
        try:
            data = bytes(self._codec.encode(value))
            kept = self._codec.decode(data)
        except Exception as error:  # the class's own code may raise anything
            raise UsageError(
                f"state {self._state}: this {type(value).__qualname__} cannot be kept\n  why: {error}\n"
                "  to do: give it the type that it is read with"
            ) from error
        if len(data) > STATE_BYTES_MAX:
            raise UsageError(
                f"state {self._state}: the value has {len(data)} bytes\n  why: the limit is {STATE_BYTES_MAX}\n"
                "  to do: keep it under several keys, or store the large part elsewhere"
            )
        self._write(data)
        self.value = kept

    def clear(self) -> None:
        """Keep nothing under this key any more. The version goes on. Raises as `set` does."""
        self._write(None)
        self.value = None

    def _write(self, data: bytes | None) -> None:
        frame = self._frame
        if calling_frame(f"state {self._state}") is not frame:
            raise NotInExecution(
                f"state {self._state} was changed outside the execution that read it\n"
                "  why: the change belongs to that execution's commit\n  to do: read and set it in one handler"
            )
        position = frame.execution.make(f"set {self._state}")
        hashed = fingerprint(_place(self._state, self.key) + (b"" if data is None else b"=" + data))
        answer = frame.execution.ask(position, StateWriteRequest(hashed), frame.driver.node.clock.now_ms())
        if isinstance(answer, DivergedAnswer):
            frame.diverge(answer.diff)
        if isinstance(answer, Recorded):
            assert isinstance(answer.entry, StateWritten), "`ask` lets nothing else through"
            self.version = answer.entry.version
            return
        if self._seen is not None and self._seen != self.version:
            raise StateChanged(
                f"state {self._state} of {self.key} was changed by another execution: it has version {self._seen}, "
                f"{self.version} was read here\n  why: this execution let go of its lane in between\n"
                "  to do: read it again before setting it: cart = await state(...)"
            )
        version = self.version + 1
        new = StateWrite(self._state, self.key, self.version, version, self._codec.fingerprint, data)
        frame.driver.refuse_full(frame)
        frame.execution.tell(StateWritten(position, hashed, version))
        frame.takes_along().write(new)
        self.version = version
        if self._seen is not None:
            self._seen = version

    def note_present(self, version: int) -> None:
        """Replay: the row has this version by now, whatever the journal says was read."""
        self._seen = version

    def __repr__(self) -> str:
        """Name, key and version; not the value, which may be a secret."""
        return f"State[{self._state} {self.key} version {self.version}]"


def load(type_: type[T], key: str, name: str | None) -> Call[Entity[T]]:
    """Make the durable call that reads a keyed state. Raises UsageError for a key that is not the execution's."""
    label = name or type_.__qualname__
    frame = calling_frame(f"state {label}")
    if frame is None:
        raise NotInExecution(
            f"state({label}, ...) was read outside a handler\n  why: it belongs to an execution's commit\n"
            "  to do: read it in a handler; outside, `onstage state show`"
        )
    _check_key(frame, label, key)
    try:
        codec = codec_for(type_)
    except NoCodec as error:
        raise UsageError(
            f"state {label} cannot be stored\n  why: {error}\n  to do: keep a dataclass, a Struct, or plain data"
        ) from error
    position = frame.execution.make(f"state {label}")
    return Call(
        f"state {label}", partial(_load, frame, position, f"{frame.reaction.service}.{label}", key, codec), frame
    )


async def _load(frame: Frame, position: str, state: str, key: str, codec: Codec[Any]) -> Entity[Any]:
    with active(frame):
        hashed = fingerprint(_place(state, key))
        answer = await ask(frame, position, StateReadRequest(hashed))
        await frame.decided()
        frame.driver.save(frame)  # what this execution has changed itself is read as well
        row = await frame.driver.node.entities.row(state, key)
        version = 0 if row is None else row.version
        if isinstance(answer, Recorded):
            assert isinstance(answer.entry, StateRead), "`ask` lets nothing else through"
            entity = Entity(frame, state, key, codec, answer.entry)
            entity.note_present(version)
            return entity
        entry = StateRead(
            position, hashed, version, 0 if row is None else row.schema, None if row is None else row.data
        )
        entity = Entity(frame, state, key, codec, entry)
        frame.execution.tell(entry)  # saved with what comes of it; until then a refused commit reads anew
        return entity


def _check_key(frame: Frame, label: str, key: str) -> None:
    lane, delivery = frame.delivery.lane, frame.delivery
    handler = frame.reaction.handler
    keyless = handler.key is None and delivery.type is not None and delivery.type.key is None
    if type(key) is not str or not 0 < len(key) <= STATE_KEY_CHARS_MAX:
        raise UsageError(
            f"state {label} has the key {key!r:.80}\n"
            f"  why: a key is a text of 1 to {STATE_KEY_CHARS_MAX} characters\n  to do: write key=str(...)"
        )
    if keyless or (lane is not None and lane != key):
        mine = "its event has no key" if keyless else f"the execution has the key {lane}"
        raise UsageError(
            f"{frame.reaction.name} reads state {label} of {key} ({handler.where})\n  why: {mine}, and executions take "
            'turns by key\n  to do: give the event that key, or the handler: @service.on(..., key="order_id")'
        )


def _place(state: str, key: str) -> bytes:
    return f"{state}\0{key}".encode("utf-8", "surrogatepass")


def _opened(codec: Codec[T], state: str, data: bytes) -> T:
    # `onstage.versions.upcast` belongs here: the row and the entry carry the fingerprint of the schema they had.
    try:
        return codec.read(data)
    except DecodeFailed as error:
        raise UsageError(
            f"state {state} does not fit its type any more: {error}\n"
            "  why: the type changed after the value was kept\n  to do: give new fields a default, then retry it"
        ) from error
