"""Between stored rows and CloudEvents envelopes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from onstage.core.commit import event_of
from onstage.events.envelope import Envelope, hlc_ms

if TYPE_CHECKING:
    from onstage.core.identity import Identity
    from onstage.ports.store import EventView

__all__ = ["from_outside", "to_envelope"]


def from_outside(envelope: Envelope) -> bytes:
    """The attributes of an event from outside that its row does not hold, as JSON."""
    kept: dict[str, Any] = {"id": envelope.id, "source": envelope.source}
    for name in ("dataschema", "expirytime", "traceparent", "tracestate", "sequence"):
        value = getattr(envelope, name)
        if value is not None:
            kept[name] = value
    if envelope.time is not None:
        kept["time"] = envelope.time
    if envelope.extensions:
        kept["extensions"] = envelope.extensions
    return msgspec.json.encode(kept)


def to_envelope(stored: EventView, identity: Identity, source: str) -> Envelope:
    """The envelope of a stored event. One from outside keeps the id and source it came with."""
    extra: dict[str, Any] = msgspec.json.decode(stored.extra) if stored.extra else {}
    time, expiry = extra.pop("time", None), extra.pop("expirytime", None)
    return Envelope(
        id=extra.pop("id", None) or identity.wire(stored.n),
        source=extra.pop("source", None) or source,
        type=stored.type,
        subject=stored.key,
        time=datetime.fromisoformat(time) if time else datetime.fromtimestamp(hlc_ms(stored.hlc) / 1000, UTC),
        correlationid=identity.wire(stored.process),
        causationid=identity.wire(event_of(stored.cause)) if stored.cause else None,
        partitionkey=stored.key,
        expirytime=datetime.fromisoformat(expiry) if expiry else None,
        topology=stored.topology,
        hlc=stored.hlc,
        data=stored.data,
        **extra,
    )
