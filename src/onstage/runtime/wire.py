"""Between stored rows and CloudEvents envelopes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from onstage.core.commit import event_of
from onstage.errors import InvalidEvent
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import Envelope, check_attribute, check_extension, hlc_ms

if TYPE_CHECKING:
    from onstage.core.identity import Identity
    from onstage.ports.store import EventView

__all__ = ["check_outside", "from_outside", "to_envelope"]


class _Outside(msgspec.Struct, frozen=True, omit_defaults=True):
    """The attributes of an event from outside that its row does not hold."""

    id: str = ""
    source: str = ""
    dataschema: str | None = None
    expirytime: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    sequence: str | None = None
    time: datetime | None = None
    extensions: dict[str, str] = {}


_ATTRIBUTES: Final = tuple(name for name in _Outside.__struct_fields__ if name != "extensions")
_NONE: Final = _Outside()
_DECODE: Final = msgspec.json.Decoder(_Outside).decode


def from_outside(envelope: Envelope) -> bytes:
    """The attributes of an event from outside that its row does not hold, as JSON.

    Raises InvalidEvent for an attribute that no JSON can carry.
    """
    try:
        return msgspec.json.encode(_Outside(*[getattr(envelope, name) for name in _Outside.__struct_fields__]))
    except (TypeError, ValueError) as error:
        raise InvalidEvent(f"the attributes of event {envelope.id!r} are no JSON: {error}") from error


def check_outside(extra: bytes) -> None:
    """Check what `from_outside` made, before it is stored: it may come from another process, of another version.

    Raises InvalidEvent if `to_envelope` could not read it, or an attribute is none of CloudEvents.
    """
    try:
        outside = _DECODE(extra)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"the attributes from outside cannot be read: {error}") from error
    for name in _ATTRIBUTES:
        value = getattr(outside, name)
        if value is not None and not (value == "" and name in {"id", "source"}):
            check_attribute(name, value)
    for name, value in outside.extensions.items():
        check_extension(name, value)


def to_envelope(stored: EventView, identity: Identity, source: str) -> Envelope:
    """The envelope of a stored event. One from outside keeps the id and source it came with.

    Raises DecodeFailed if the stored attributes cannot be read: somebody else wrote the row.
    """
    try:
        outside = _DECODE(stored.extra) if stored.extra else _NONE
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"the attributes of event {stored.n}: {error}") from error
    return Envelope(
        id=outside.id or identity.wire(stored.n),
        source=outside.source or source,
        type=stored.type,
        subject=stored.key,
        time=outside.time or datetime.fromtimestamp(hlc_ms(stored.hlc) / 1000, UTC),
        dataschema=outside.dataschema,
        correlationid=identity.wire(stored.process),
        causationid=identity.wire(event_of(stored.cause)) if stored.cause else None,
        partitionkey=stored.key,
        sequence=outside.sequence,
        expirytime=outside.expirytime,
        traceparent=outside.traceparent,
        tracestate=outside.tracestate,
        topology=stored.topology,
        hlc=stored.hlc,
        data=stored.data,
        extensions=outside.extensions,
    )
