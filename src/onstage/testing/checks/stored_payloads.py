"""Payloads as they stand in a file: in their rows or apart from them, as they are or sealed.

This reads what `stores/sqlite/offload.py` and `stores/sealed_store.py` write, and uses neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.core.journal import PAYLOAD_FIELDS, decode_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.core.journal import Entry
    from onstage.ports.payload_codec import PayloadCodec

__all__ = ["SEALED", "StoredPayloads", "named_in", "recorded"]

SEALED: Final = b"\xc1\x01"
"""How a sealed payload begins."""

_APART: Final = b"\xc1"


def recorded(body: bytes) -> Entry:
    """The entry in a row; of payloads that are kept apart nothing is in it."""
    return decode_entry(_parts(body)[0])


def named_in(body: bytes) -> dict[str, str]:
    """Which payloads of an entry are kept apart: the hash of each, by its field."""
    return _parts(body)[1]


def _parts(body: bytes) -> tuple[bytes, dict[str, str]]:
    if body[:1] != _APART:
        return body, {}
    return msgspec.msgpack.decode(body[1:], type=tuple[bytes, dict[str, str]])


@final
class StoredPayloads:
    """Finds and opens the payloads of one file."""

    def __init__(self, rows: Callable[..., list[tuple[Any, ...]]], codec: PayloadCodec | None) -> None:
        """Those that were sealed with this codec, if any were."""
        self._rows = rows
        self._codec = codec

    def event(self, data: bytes | str, *place: Any) -> bytes:
        """The payload of an event; the place is its number, process and type."""
        return self._opened(self._found(data), "event", *place)

    def state(self, data: bytes | str | None, *place: Any) -> bytes | None:
        """The value of a keyed state; the place is its name, key and version."""
        return None if data is None else self._opened(self._found(data), "state", *place)

    def note(self, body: bytes, *place: Any) -> bytes:
        """The body of a note; the place is its topic and number."""
        return self._opened(body, "note", *place)

    def entry(self, execution: int, body: bytes) -> Entry:
        """An entry with its payloads."""
        entry = recorded(body)
        apart = {field: self._found(name) for field, name in named_in(body).items()}
        entry = msgspec.structs.replace(entry, **apart) if apart else entry
        if self._codec is None:
            return entry
        opened = {
            field: self._opened(data, "entry", execution, entry.position, field)
            for field in PAYLOAD_FIELDS
            if isinstance(data := getattr(entry, field, None), bytes)
        }
        return msgspec.structs.replace(entry, **opened) if opened else entry

    def _found(self, data: bytes | str) -> bytes:
        if isinstance(data, bytes):
            return data
        found = self._rows("select body from onstage_blob_body where hash = ?", data)
        return bytes(found[0][0]) if found else b""

    def _opened(self, data: bytes, *place: Any) -> bytes:
        if self._codec is None or data[:2] != SEALED:
            return data
        key = data[3 : 3 + data[2]].decode()
        return self._codec.decrypt(key, data[3 + data[2] :], msgspec.msgpack.encode(place))
