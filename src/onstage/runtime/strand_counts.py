"""The counts of a publisher: how many messages of its store were published on each subject, and which was the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Note
from onstage.runtime.strands import note_number

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from onstage.ports.store import Reader

__all__ = ["Counted", "Counting", "StrandCounts"]

OUT: Final = "out"
AT_ONCE: Final = 1_000


@final
class Counted(msgspec.Struct, frozen=True, array_like=True):
    """What was published on one subject: how many, and the number of the last event or of what was sent on.

    `last` is 0 as long as it is not known: the publisher went back, and publishes it again.
    """

    subject: str
    count: int = 0
    last: int = 0

    @property
    def note(self) -> Note:
        """As it is kept."""
        return Note(OUT, note_number(self.subject), _ENCODE(self))


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Counted).decode


@final
class StrandCounts:
    """The counts of one store, all in memory: they are as many as its subjects."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._known: dict[str, Counted] = {}

    async def load(self, reader: Reader) -> None:
        """Learn what the store has."""
        after = -1
        while notes := await reader.notes(OUT, after=after, limit=AT_ONCE):
            self._known |= {counted.subject: counted for note in notes for counted in (_DECODE(note.body),)}
            after = notes[-1].number

    def of(self, subject: str) -> Counted:
        """What was published on this subject."""
        return self._known.get(subject) or Counted(subject)

    @property
    def all(self) -> Collection[Counted]:
        """What was published on every subject."""
        return self._known.values()

    def begin(self) -> Counting:
        """Count a parcel on top of this."""
        return Counting(self)

    def less(self, counts: Mapping[str, int]) -> Counting:
        """So many fewer on these subjects, as of a publisher that goes back."""
        counting = Counting(self)
        for subject, count in counts.items():
            counting.counted[subject] = Counted(subject, self.of(subject).count - count)
        return counting

    def settle(self, counting: Counting) -> None:
        """The store has it: it holds from now on."""
        self._known |= counting.counted


@final
class Counting:
    """The counts as they will be once the store has `notes`."""

    def __init__(self, counts: StrandCounts) -> None:
        """On top of these."""
        self._counts = counts
        self.counted: dict[str, Counted] = {}

    def next(self, subject: str, last: int) -> int:
        """Count one message, of this event or note; its number on its subject."""
        known = self.counted.get(subject) or self._counts.of(subject)
        self.counted[subject] = Counted(subject, known.count + 1, last)
        return known.count + 1

    @property
    def notes(self) -> list[Note]:
        """What is to be kept."""
        return [counted.note for counted in self.counted.values()]
