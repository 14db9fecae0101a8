"""Onstage's own events of a process that is undone: `onstage.undo` has a segment undone, `onstage.undoing` tells it.

Both belong to the process. The second is how observers learn what the owner of a process has decided about it, and how
it ended.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from onstage.events.codec import DecodeFailed
from onstage.events.event import define_event

__all__ = ["UNDO", "UNDOING", "UNDOING_TYPE", "UndoingTold", "decode_told", "encode_told"]

UNDO: Final = "onstage.undo"
"""The type of the event that has one segment undone, and the name of the handler that does it."""
UNDOING: Final = "onstage.undoing"
"""The type of the event that says what was decided about the undoing of a process."""


@final
class UndoingTold(msgspec.Struct, frozen=True):
    """That a process is undone, was, or must not be any more: the `state` in a word, why, and from when to when (ms).

    `residue` names what was given up; `resolved` is when somebody said that it was mended by hand (ms), and what of it.
    """

    state: str
    reason: str
    since: int
    ended: int = 0
    residue: tuple[str, ...] = ()
    resolved: int = 0
    resolved_by: str = ""
    note: str = ""


UNDOING_TYPE: Final = define_event(UndoingTold, name=UNDOING)
encode_told: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(UndoingTold).decode


def decode_told(data: bytes) -> UndoingTold:
    """What such an event says. Raises DecodeFailed if that is nothing."""
    try:
        return _DECODE(data)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"what was told of an undoing: {error}") from error
