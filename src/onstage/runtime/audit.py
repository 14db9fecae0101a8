"""What operators did: who, when, what, on what, and what came of it; the newest in notes of the store.

A row is appended *before* the action's own commit. Commits have one order and a crash forgets a suffix, so nothing that
was done is without its row; a row whose action a crash forgot says that nobody knows what came of it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar, final

import msgspec

from onstage.core.commit import Note, Notes
from onstage.errors import OnstageError, StoreUnavailable
from onstage.ports.store import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from onstage.runtime.node import Node

__all__ = ["AUDIT_ROWS_MAX", "OPERATED", "TEXT_CHARS_MAX", "AuditTrail", "Operated", "operated_in"]

OPERATED: Final = "operated"
"""The topic of the notes."""

AUDIT_ROWS_MAX: Final = 10_000
"""So many rows are kept, the newest."""

TEXT_CHARS_MAX: Final = 500
"""Names, targets and results are cut to so much."""

_DROP_EVERY: Final = 100

T = TypeVar("T")


@final
class Operated(msgspec.Struct, frozen=True, omit_defaults=True):
    """One action. `done` is None while nobody knows what came of it, False if it was refused: `result` says why."""

    at: int
    by: str
    action: str
    target: str
    result: str = ""
    done: bool | None = None


_DECODE: Final = msgspec.msgpack.Decoder(Operated).decode


@final
class AuditTrail:
    """Writes the rows of one node."""

    def __init__(self, node: Node) -> None:
        """The number of the newest row is read when the first one is written."""
        self._node = node
        self._newest: int | None = None

    async def of(self, by: str | None, action: str, target: object, act: Callable[[], Awaitable[T]]) -> T:
        """Do it, written down under who did it; None is no operator, and nothing is written. Raises as `act` does."""
        if by is None:
            return await act()
        number = await self._number()
        row = Operated(self._node.clock.now_ms(), _cut(by), action, _cut(str(target)))
        self._write(number, row)
        try:
            result = await act()
        except (LookupError, OnstageError) as error:
            await self._ended(number, row, str(error).partition("\n")[0], done=False)
            raise
        await self._ended(number, row, str(result), done=True)
        return result

    async def _ended(self, number: int, row: Operated, result: str, *, done: bool) -> None:
        position = self._write(number, msgspec.structs.replace(row, result=_cut(result), done=done))
        with suppress(Refused, StoreUnavailable):  # what was done is done all the same
            await self._node.store.durable(position)

    async def _number(self) -> int:
        if self._newest is None:
            newest = await self._node.store.reader.notes(OPERATED, newest_first=True, limit=1)
            if self._newest is None:  # somebody else may have been quicker
                self._newest = newest[0].number if newest else 0
        self._newest += 1
        return self._newest

    def _write(self, number: int, row: Operated) -> int:
        spent = number - AUDIT_ROWS_MAX
        dropped = [(OPERATED, 0, spent)] if spent > 0 and number % _DROP_EVERY == 0 else []
        return self._node.append_notes(Notes([Note(OPERATED, number, msgspec.msgpack.encode(row))], dropped))


def operated_in(notes: Sequence[Note]) -> list[tuple[int, Operated]]:
    """The rows that notes hold, by number."""
    return [(note.number, _DECODE(note.body)) for note in notes]


def _cut(text: str) -> str:
    return text[:TEXT_CHARS_MAX]
