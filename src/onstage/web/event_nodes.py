"""Stored events as they are shown: payload as text with secrets masked, CloudEvents attributes, where from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.core.commit import handler_of
from onstage.events.envelope import hlc_ms
from onstage.reading.causal_tree import unreadable
from onstage.reading.redaction import redacted
from onstage.runtime.wire import emitted_by, to_envelope
from onstage.web.shown import EventNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.ports.store import EventView
    from onstage.reading.store_file import StoreFile

__all__ = ["PAYLOAD_CHARS_MAX", "event_nodes", "payload_text"]

PAYLOAD_CHARS_MAX: Final = 20_000
"""Of a longer payload the beginning is shown."""

_NOT_HEADERS: Final = frozenset({"data", "extensions", "id", "type"})


def event_nodes(store: StoreFile, events: Sequence[EventView]) -> tuple[EventNode, ...]:
    """These events, in this order."""
    identity = store.identity()
    names: dict[int, str] = dict(store.rows("handler_names"))
    nodes = []
    for view in events:
        emitter = names.get(handler_of(view.cause)) if view.cause else None
        sender = emitter or emitted_by(view)
        source = "//onstage/door" if sender is None else f"//onstage/{sender.partition('.')[0]}"
        envelope = to_envelope(view, identity, source, emitter)
        text, cut = payload_text(view.data)
        attributes: dict[str, Any] = msgspec.to_builtins(envelope)
        headers = {name: str(value) for name, value in attributes.items() if name not in _NOT_HEADERS and value}
        headers |= {name: str(value) for name, value in (attributes.get("extensions") or {}).items()}
        nodes.append(
            EventNode(
                n=view.n,
                id=envelope.id,
                type=view.type,
                version=view.version,
                key=view.key,
                at_ms=hlc_ms(view.hlc),
                cause=view.cause,
                from_service=None if sender is None else sender.partition(".")[0],
                from_outside=view.cause == 0 and sender is None,
                data=text,
                truncated=cut,
                headers=headers,
            )
        )
    return tuple(nodes)


def payload_text(data: bytes) -> tuple[str, bool]:
    """A payload as text with secrets masked, and whether it was cut."""
    try:
        text = msgspec.json.format(redacted(data), indent=2).decode()
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        text = unreadable(data)
    return text[:PAYLOAD_CHARS_MAX], len(text) > PAYLOAD_CHARS_MAX
