"""What is stored of a process that is undone, or must not be any more: one row, each version replacing the one before.

The row is the decision. Whoever wants a process undone, or its point of no return granted, writes version 1; the store
refuses all but the first.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from onstage.core.commit import WaveRow
from onstage.events.codec import DecodeFailed
from onstage.events.undoing_told import UNDO

__all__ = [
    "COMPENSATED",
    "COMPENSATING",
    "NOTHING",
    "PIVOTED",
    "REJECTION",
    "RESIDUE",
    "RESOLVED",
    "UNDECIDED",
    "UNDO",
    "Undoing",
    "decided",
    "decode_undoing",
    "encode_undoing",
    "first_row",
]

PIVOTED: Final = "pivoted"
COMPENSATING: Final = "compensating"
COMPENSATED: Final = "compensated"
RESIDUE: Final = "compensated with residue"
UNDECIDED: Final = "undecided"
"""Of an observer: an outcome that may have the process undone has come, and its owner has not said whether it does."""
RESOLVED: Final = "residue resolved"
NOTHING: Final = "nothing to undo"
"""It turned out that nothing was done that could be undone: the process has ended as its ledger says."""

REJECTION: Final = -1
"""In place of the number of an outcome: a rejection asked for a process to be undone."""


@final
class Undoing(msgspec.Struct, frozen=True, array_like=True):
    """Why a process is undone, since when and until when (ms), and what was given up.

    `exempt` is the number of the outcome that decided it, which with all that follows from it is not undone; 0 if it
    was something else. `residue` names what was not undone. `resolved` is when somebody said that it was mended by
    hand (ms); who, and what they noted, stands beside it. `by_hand` says that an operator had the process undone. Where
    parts are in other stores, those that do not decide have the public id of that `outcome`, and say how the process is
    `declared`.
    """

    reason: str
    since: int
    exempt: int = 0
    ended: int = 0
    residue: tuple[str, ...] = ()
    resolved: int = 0
    resolved_by: str = ""
    note: str = ""
    by_hand: bool = False
    outcome: str = ""
    declared: str = ""


encode_undoing = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Undoing).decode


def decode_undoing(body: bytes) -> Undoing:
    """What stands in a row. Raises DecodeFailed if it is none."""
    try:
        return _DECODE(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"the undoing of a process: {error}") from error


def first_row(process: int, state: str, undoing: Undoing) -> WaveRow:
    """The row that decides."""
    return WaveRow(process, 1, state, encode_undoing(undoing))


def decided(process: int, asked: int, outcome: str | None, now_ms: int) -> WaveRow:
    """The row that an outcome in `failed=` (`asked` is its number) or a rejection writes, at once with itself."""
    if asked == REJECTION:
        return first_row(process, COMPENSATING, Undoing("a handler rejected", now_ms))
    return first_row(process, COMPENSATING, Undoing(outcome or "", now_ms, asked))
