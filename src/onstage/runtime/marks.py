"""Marks: places in the broker's log that a store remembers, each by sequence number *and* id.

A sequence number alone proves nothing: a log that lost its tail gives the same numbers to other messages. So whoever
goes on from a mark first looks whether that very message still stands there, and if not, goes back to one that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onstage.core.commit import Note
    from onstage.ports.broker import Broker, Logged, LogState

__all__ = [
    "ID",
    "MARKS_KEPT",
    "Holes",
    "KeptMarks",
    "Mark",
    "decode_holes",
    "decode_mark",
    "encode_mark",
    "newest_standing",
    "public_id",
    "stands",
]

ID: Final = "onstage-id"
"""The header with the public id of what a message holds; it is there also when the broker is not to recognise it."""

MARKS_KEPT: Final = 200
"""How many marks of a kind a store keeps: the newest, and of older ones the fewer the older they are."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A message of the log. `n`, `position` and `forward` are how far a relay had published with it."""

    stream: str
    seq: int
    id: str
    n: int = 0
    position: int = 0
    forward: int = 0


class Holes(msgspec.Struct, frozen=True, array_like=True):
    """How many messages were gone from a log when a relay last looked."""

    stream: str
    count: int


@final
class KeptMarks:
    """The numbers of the marks that a store keeps. When they are too many, every second one of the older half goes.

    So they reach back to the first one however long the log has become, and whoever must go back goes back by at most
    about twice as much as was lost.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        """The numbers that are kept at present, in ascending order."""
        self._numbers = list(numbers)

    def dropped(self) -> Sequence[int]:
        """The numbers that need not be kept any longer when one more is."""
        return self._numbers[1 : MARKS_KEPT // 2 : 2] if len(self._numbers) >= MARKS_KEPT else ()

    def add(self, number: int) -> None:
        """One more is kept, and what `dropped` says is not."""
        if len(self._numbers) >= MARKS_KEPT:
            del self._numbers[1 : MARKS_KEPT // 2 : 2]
        self._numbers.append(number)

    def go_back(self, number: int) -> None:
        """What is behind this number is not kept any longer."""
        self._numbers = [kept for kept in self._numbers if kept <= number]


encode_mark = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Mark).decode
_DECODE_HOLES: Final = msgspec.msgpack.Decoder(Holes).decode


def decode_mark(note: Note) -> Mark:
    """The mark in a note."""
    return _DECODE(note.body)


def decode_holes(note: Note) -> Holes:
    """The holes in a note."""
    return _DECODE_HOLES(note.body)


def public_id(message: Logged) -> str:
    """The public id of what a message holds, empty if it says none."""
    return message.headers.get(ID, "")


async def newest_standing(broker: Broker, notes: Iterable[Note]) -> tuple[Note | None, LogState]:
    """The first of these notes (the newest first) whose message still stands in the log, and the log's state.

    What the log let go of at its beginning, by age or size, stands too: everything behind it is still in order. Raises
    BrokerUnavailable.
    """
    state = await broker.state()
    for note in notes:
        if await stands(broker, state, decode_mark(note)):
            return note, state
    return None, state


async def stands(broker: Broker, state: LogState, mark: Mark) -> bool:
    """Whether the message of a mark is still in the log, or went with its beginning. Raises BrokerUnavailable.

    A mark of no message, from before the first one, always stands.
    """
    if not mark.seq:
        return True
    if mark.stream != state.identity or mark.seq > state.last:
        return False
    if mark.seq < state.first:
        return True
    found = await broker.message(mark.seq)
    return found is not None and public_id(found) == mark.id
