"""Receipts: the one record from which everything anybody sees is derived.

Theory of operation. An *obligation* is a pair (event, handler). Emitting an event opens one obligation for each
gating handler of its type; the handler settles it in the commit that holds its work, and that commit also holds one
receipt. `token` names one segment of one obligation in 128 bits, and a receipt's `delta` is the XOR of the token it
closes and of the tokens it opens. A process is quiescent when the XOR of all its deltas, begun with the tokens of its
root, is zero *and* no obligation is open; the two must agree (see `onstage.observe.ledger`).
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import blake2b
from typing import Final

import msgspec

from onstage.events.codec import DecodeFailed

__all__ = ["OPEN_MAX", "Receipt", "Status", "decode_receipts", "encode_receipts", "token"]


class Status(IntEnum):
    """Where an obligation stands. Values below `DONE` are open: something of it is still to happen."""

    READY = 0
    RUNNING = 1
    WAITING = 2
    RETRYING = 3
    PARKED = 4
    DIVERGED = 5
    DONE = 6
    REJECTED = 7
    SKIPPED = 8
    DROPPED = 9
    CONSUMED = 10
    UNMATCHED = 11
    LATE = 12
    CANCELLED = 13
    WRITTEN_OFF = 15

    @property
    def is_open(self) -> bool:
        """Whether the obligation still has to be dealt with."""
        return self < Status.DONE

    @property
    def label(self) -> str:
        """The word people see: `ready`, `running`, `waiting`, `retrying`, `dead letter`, `done` and so on."""
        return "dead letter" if self is Status.PARKED else self.name.lower().replace("_", " ")


OPEN_MAX: Final = int(Status.DIVERGED)
"""The largest open status; the stores' partial indexes are cut here."""


class Receipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one commit did about one obligation.

    `process` and `event` are local numbers of the store that wrote it; `handler` is the handler's number there. Where
    one of them is not that store's own, `names` are the public ids of both. `waits` are the event types that are waited
    for, separated by blanks.
    `outputs` are (event number, type number). `delta` is 16 bytes. Times are milliseconds since the epoch.
    """

    process: int
    event: int
    handler: int
    segment: int
    status: int
    hlc: int
    delta: bytes
    outputs: tuple[tuple[int, int], ...] = ()
    started: int = 0
    ended: int = 0
    attempts: int = 1
    error: str | None = None
    until: int | None = None
    waits: str | None = None
    names: tuple[str, str] | None = None


encode_receipts = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[Receipt, ...]).decode


def decode_receipts(body: bytes) -> tuple[Receipt, ...]:
    """The receipts in `body`, as `encode_receipts` wrote them. Raises DecodeFailed if it holds none."""
    try:
        return _DECODE(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"receipts: {error}") from error


def token(process: str, event: str, handler: str, segment: int) -> int:
    """The 128-bit name of one segment of one obligation: BLAKE2b-128 over the four public identities.

    Public identities, not local numbers, so that every store computes the same token for the same obligation.
    """
    name = f"{process}|{event}|{handler}|{segment}".encode()
    return int.from_bytes(blake2b(name, digest_size=16).digest(), "big")
