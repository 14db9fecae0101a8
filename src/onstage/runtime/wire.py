"""Between stored rows and CloudEvents envelopes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.core.commit import event_of
from onstage.errors import InvalidEvent
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import Envelope, check_attribute, check_extension, hlc_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.core.identity import Identity
    from onstage.events.event import EventType
    from onstage.ports.store import EventView

__all__ = [
    "SENT_AS",
    "arrived",
    "aside",
    "check_outside",
    "deadline_of",
    "delayed_until",
    "due_of",
    "emitted_by",
    "envelope_of_version",
    "expiry_of",
    "following",
    "follows",
    "from_outside",
    "identity_of",
    "joined",
    "lifted",
    "names_in",
    "names_of",
    "of_present_version",
    "of_process",
    "to_envelope",
    "version_of",
    "with_expiry",
    "with_outside",
    "with_source",
    "with_trace",
]


SENT_AS: Final = "onstagesentas"
"""The attribute by which an event from outside that was sent on is found: the id that its client was given."""


FOLLOWS: Final = "onstageoutcome"
"""The attribute with the public ids of the outcomes that an event follows from, or is, if they may have it undone."""
FOLLOWS_MAX: Final = 16
"""So many of them an event bears at most: the first ones."""


class _Outside(msgspec.Struct, frozen=True, omit_defaults=True):
    """The attributes of an event from outside that its row does not hold.

    Only Onstage itself writes `wire`, `correlationid` and `causationid`: the public id that the event has where it was
    logged first, that of its process, and of the execution that emitted it, as far as they are of another store.
    """

    id: str = ""
    source: str = ""
    dataschema: str | None = None
    expirytime: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    sequence: str | None = None
    time: datetime | None = None
    extensions: dict[str, str] = {}
    wire: str | None = None
    correlationid: str | None = None
    causationid: str | None = None


SCHEMA_VERSION: Final = "schemaversion"
"""The extension attribute by which nodes tell each other the version of an event's type, if it is not 1."""

_ATTRIBUTES: Final = _Outside.__struct_fields__[: _Outside.__struct_fields__.index("extensions")]
_OURS: Final = ("wire", "correlationid", "causationid")
_NONE: Final = _Outside()
DUE: Final = "onstagedue"
_DUE_DIGITS_MAX: Final = 15
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DECODE: Final = msgspec.json.Decoder(_Outside).decode
_VERSION_DIGITS_MAX: Final = 9


def identity_of(kind: str, name: str) -> bytes:
    """Under which identity an event (`event`) or a process (`process`) of another store is known at the door."""
    return blake2b(f"{kind}\0{name}".encode(), digest_size=16).digest()


def from_outside(envelope: Envelope) -> bytes:
    """The attributes of an event from outside that its row does not hold, as JSON.

    Raises InvalidEvent for an attribute that no JSON can carry.
    """
    try:
        return msgspec.json.encode(_outside(envelope))
    except (TypeError, ValueError) as error:
        raise InvalidEvent(f"the attributes of event {envelope.id!r} are no JSON: {error}") from error


def _outside(envelope: Envelope, **ours: Any) -> _Outside:
    given: dict[str, Any] = {name: getattr(envelope, name) for name in _ATTRIBUTES}
    return _Outside(**given, extensions=envelope.extensions, **ours)


def arrived(envelope: Envelope, wire: str) -> bytes:
    """The attributes of an event that another store has logged, whose public id is `wire`, as JSON."""
    own = {"id": ""} if envelope.id == wire else {}
    outside = _outside(envelope, wire=wire, correlationid=envelope.correlationid, causationid=envelope.causationid)
    return msgspec.json.encode(msgspec.structs.replace(outside, **own))


def of_process(
    process_id: str | None,
    causation: str | None = None,
    *,
    expires: int | None = None,
    trace: tuple[str, str | None] = ("", None),
) -> bytes:
    """What the row of an event of this store says that belongs to a process of another one, or was caused there.

    `causation` is the public id of the causing event and its handler, joined by a slash. `expires` is its deadline, in
    milliseconds since the epoch; `trace` are the `traceparent` and the `tracestate` that the event travels with.
    """
    parent, state = trace
    outside = _Outside(traceparent=parent or None, tracestate=state, correlationid=process_id, causationid=causation)
    if expires is not None:
        outside = msgspec.structs.replace(outside, expirytime=datetime.fromtimestamp(expires / 1000, UTC))
    return msgspec.json.encode(outside)


def deadline_of(stored: EventView) -> int | None:
    """The deadline that a stored event came with, in milliseconds since the epoch; None if it has none."""
    if not stored.extra:
        return None
    try:
        until = _DECODE(stored.extra).expirytime
    except (ValueError, RecursionError):
        return None
    return None if until is None else round(until.timestamp() * 1000)


def joined(extra: bytes | None, process_id: str | None, causation: str | None) -> bytes:
    """These attributes, and what `of_process` says. Raises DecodeFailed if they cannot be read."""
    return _replaced(extra, correlationid=process_id, causationid=causation)


def with_expiry(extra: bytes | None, expires: int) -> bytes:
    """These attributes, and that the event expires at this moment (ms). Raises DecodeFailed if they cannot be read."""
    return _replaced(extra, expirytime=datetime.fromtimestamp(expires / 1000, UTC))


def with_source(extra: bytes | None, source: str) -> bytes:
    """These attributes, and the source of the event. Raises DecodeFailed if they cannot be read."""
    return _replaced(extra, source=source)


def with_trace(extra: bytes | None, trace: tuple[str, str | None]) -> bytes:
    """These attributes, and the trace that the event travels with. Raises DecodeFailed if they cannot be read."""
    return _replaced(extra, traceparent=trace[0] or None, tracestate=trace[1])


def follows(extra: bytes | None) -> tuple[str, ...]:
    """The outcomes that an event with these attributes follows from, or is, by their public ids."""
    if extra is None or FOLLOWS.encode() not in extra:
        return ()
    try:
        said = _DECODE(extra).extensions.get(FOLLOWS, "")
    except (ValueError, RecursionError):
        return ()
    return tuple(said.split(",")) if said else ()


def following(extra: bytes | None, outcomes: Iterable[str]) -> bytes:
    """These attributes, and that the event follows from these outcomes. Raises DecodeFailed if they cannot be read."""
    first = tuple(dict.fromkeys(outcomes))[:FOLLOWS_MAX]
    try:
        extensions = {} if extra is None else _DECODE(extra).extensions
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"attributes: {error}") from error
    return _replaced(extra, extensions=extensions | {FOLLOWS: ",".join(first)})


def _replaced(extra: bytes | None, **attributes: Any) -> bytes:
    try:
        outside = _DECODE(extra) if extra else _NONE
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"attributes: {error}") from error
    return msgspec.json.encode(msgspec.structs.replace(outside, **attributes))


def expiry_of(extra: bytes | None) -> int | None:
    """The moment (ms) from which on the event is not begun any more, None if there is none or it cannot be read."""
    if extra is None or b'"expirytime"' not in extra:
        return None
    try:
        moment = _DECODE(extra).expirytime
    except (ValueError, RecursionError):
        return None
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def aside(process_id: str) -> bytes:
    """What the row says of an event that stands for a process of another store until one of its own comes."""
    return msgspec.json.encode(_Outside(wire=f"{process_id}~", correlationid=process_id))


def names_of(stored: EventView) -> tuple[str | None, str | None]:
    """The public ids of the process and of the event, each None if it is this store's own."""
    return names_in(stored.extra)


def names_in(extra: bytes | None) -> tuple[str | None, str | None]:
    """Likewise, from the attributes of its row."""
    if not extra:
        return None, None
    try:
        outside = _DECODE(extra)
    except (ValueError, RecursionError):
        return None, None  # spoilt by somebody else; such an event is set aside when it is decoded
    return outside.correlationid, outside.wire


def version_of(stored: EventView) -> int:
    """The version of its type that an event was written as: what its emitter says, else that of its row."""
    if not stored.extra or SCHEMA_VERSION.encode() not in stored.extra:
        return stored.version
    try:
        said = _DECODE(stored.extra).extensions.get(SCHEMA_VERSION, "")
    except (ValueError, RecursionError):
        return stored.version
    return int(said) if said.isdecimal() and len(said) <= _VERSION_DIGITS_MAX else stored.version


def lifted(envelope: Envelope, known: EventType) -> tuple[Envelope, bool]:
    """An event of another node in the present version of its type, as it came if there is no way; and whether it is."""
    said = envelope.extensions.get(SCHEMA_VERSION, "1")
    if said == str(known.version):
        return envelope, True
    try:
        data = known.ways.lift(envelope.data, int(said), known.version)
    except ValueError:
        return envelope_of_version(envelope, said), False
    return envelope_of_version(msgspec.structs.replace(envelope, data=data), str(known.version)), True


def of_present_version(extra: bytes) -> tuple[bytes, int | None]:
    """The attributes of an event from outside without what they say of its version, and that.

    At the door it is lifted to the present one. Raises InvalidEvent if it is no version.
    """
    if SCHEMA_VERSION.encode() not in extra:
        return extra, None
    outside = _DECODE(extra)
    said = outside.extensions.get(SCHEMA_VERSION)
    if said is None:
        return extra, None
    if not said.isdecimal() or not 0 < len(said) <= _VERSION_DIGITS_MAX:
        raise InvalidEvent(
            f"{SCHEMA_VERSION}={said[:20]!r} is no version\n  why: it is a whole number, 1 or more\n"
            "  to do: leave it out for an event of the newest version"
        )
    rest = {name: value for name, value in outside.extensions.items() if name != SCHEMA_VERSION}
    return msgspec.json.encode(msgspec.structs.replace(outside, extensions=rest)), int(said)


def envelope_of_version(envelope: Envelope, version: str) -> Envelope:
    """The envelope that says so."""
    return msgspec.structs.replace(envelope, extensions=envelope.extensions | {SCHEMA_VERSION: version})


def emitted_by(stored: EventView) -> str | None:
    """The full name of the handler of another store that emitted the event, None if it is no such event."""
    if not stored.extra or stored.cause:
        return None
    try:
        causation = _DECODE(stored.extra).causationid or ""
    except (ValueError, RecursionError):
        return None
    return causation.partition("/")[2] or None


def with_outside(envelope: Envelope, extra: bytes) -> Envelope:
    """The envelope with the attributes that `from_outside` has put into `extra`, but for id and source."""
    outside = _DECODE(extra)
    given = {name: getattr(outside, name) for name in _ATTRIBUTES if name not in {"id", "source"}}
    return msgspec.structs.replace(envelope, **given, extensions=outside.extensions)


def delayed_until(envelope: Envelope, due: int | None) -> Envelope:
    """The envelope of an event that is sent on, with the moment (ms) before which it is not to be emitted."""
    if due is None:
        return envelope
    return msgspec.structs.replace(envelope, extensions={**envelope.extensions, DUE: str(due)})


def due_of(envelope: Envelope) -> tuple[int | None, Envelope]:
    """What `delayed_until` has put there, and the envelope without it."""
    due = envelope.extensions.get(DUE, "")
    if not (due.isascii() and due.isdecimal() and len(due) <= _DUE_DIGITS_MAX):
        return None, envelope
    rest = {name: value for name, value in envelope.extensions.items() if name != DUE}
    return int(due), msgspec.structs.replace(envelope, extensions=rest)


def check_outside(extra: bytes) -> None:
    """Check what `from_outside` made, before it is stored: it may come from another process, of another version.

    Raises InvalidEvent if `to_envelope` could not read it, or an attribute is none of CloudEvents.
    """
    try:
        outside = _DECODE(extra)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"the attributes from outside cannot be read: {error}") from error
    for name in _OURS:
        if getattr(outside, name) is not None:
            raise InvalidEvent(f"the attributes from outside hold {name}, which is not theirs to say")
    for name in _ATTRIBUTES:
        value = getattr(outside, name)
        if value is not None and not (value == "" and name in {"id", "source"}):
            check_attribute(name, value)
    for name, value in outside.extensions.items():
        check_extension(name, value)


def to_envelope(stored: EventView, identity: Identity, source: str, handler: str | None = None) -> Envelope:
    """The envelope of a stored event. One from outside keeps the id and source it came with.

    `handler` is the full name of the handler that emitted it; the execution is named after its event and its handler.

    Raises DecodeFailed if the stored attributes cannot be read: somebody else wrote the row.
    """
    try:
        outside = _DECODE(stored.extra) if stored.extra else _NONE
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"the attributes of event {stored.n}: {error}") from error
    return Envelope(
        id=outside.id or outside.wire or identity.wire(stored.n),
        source=outside.source or source,
        type=stored.type,
        subject=stored.key,
        time=outside.time or datetime.fromtimestamp(hlc_ms(stored.hlc) / 1000, UTC),
        dataschema=outside.dataschema,
        correlationid=outside.correlationid or identity.wire(stored.process),
        causationid=outside.causationid or _cause(stored, identity, handler),
        partitionkey=stored.key,
        sequence=outside.sequence,
        expirytime=outside.expirytime,
        traceparent=outside.traceparent,
        tracestate=outside.tracestate,
        topology=stored.topology,
        hlc=stored.hlc,
        data=stored.data,
        extensions=_versioned(outside.extensions, stored.version),
    )


def _versioned(extensions: dict[str, str], version: int) -> dict[str, str]:
    return extensions if version == 1 else {SCHEMA_VERSION: str(version)} | extensions


def _cause(stored: EventView, identity: Identity, handler: str | None) -> str | None:
    if not stored.cause:
        return None
    event = identity.wire(event_of(stored.cause))
    return event if handler is None else f"{event}/{handler}"
