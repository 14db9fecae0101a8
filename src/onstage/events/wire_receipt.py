"""Receipts on the wire: the same facts as in a store, with public ids in place of the store's own numbers.

What one batch of a store says about one shard is one message: MessagePack, an array of arrays. Its header names the
writer (store and incarnation) and the place of its first receipt, which is dense per writer and shard.
"""

from __future__ import annotations

from typing import Final

import msgspec

from onstage.events.codec import DecodeFailed

__all__ = ["WireReceipt", "decode_wire", "encode_wire"]


class WireReceipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One receipt; see `onstage.events.receipt.Receipt`. `handler` is a full name, empty for an event from outside.

    `outputs` are (public id, event type). `delta` is 16 bytes, times are milliseconds since the epoch.
    """

    process: str
    event: str
    handler: str
    segment: int
    status: int
    hlc: int
    delta: bytes
    outputs: tuple[tuple[str, str], ...] = ()
    started: int = 0
    ended: int = 0
    attempts: int = 1
    error: str | None = None
    until: int | None = None
    waits: str | None = None


encode_wire = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[WireReceipt, ...]).decode


def decode_wire(body: bytes) -> tuple[WireReceipt, ...]:
    """The receipts in the body of a message, as `encode_wire` wrote them. Raises DecodeFailed if it holds none."""
    try:
        return _DECODE(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"receipts of another store: {error}") from error
