"""Which processes a batch decides to have undone: those that were asked to be and have begun something that can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from onstage.core.journal import Abandoned, Begun, Stepped
from onstage.core.undoing import REJECTION, decided
from onstage.stores.versioned_rows import VersionedRows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from onstage.core.commit import NewEvent, WaveRow
    from onstage.core.journal import Entry
    from onstage.stores.process_row import ProcessRow

__all__ = ["UndoDecisions", "can_be_undone"]


def can_be_undone(entries: Sequence[Entry]) -> bool:
    """Whether one of these entries is of a step with an undo."""
    return any(isinstance(entry, Begun | Stepped | Abandoned) and entry.undo is not None for entry in entries)


@final
class UndoDecisions:
    """The rows of processes that are undone, while a batch works on them.

    What asks for it and what can be undone may come in either order, of different executions and in different batches:
    the second of them decides. A process in which nothing can be undone is never decided.
    """

    def __init__(
        self,
        undoing: Mapping[str, Collection[int]],
        stored: Callable[[Collection[int]], Iterable[tuple[int, int]]],
        *,
        partial: bool = False,
    ) -> None:
        """`undoing` has the outcomes in `failed=` by process, `stored` looks up the versions of rows.

        Where the store is `partial`, others may have begun what can be undone: there it is enough that it is asked for.
        """
        self.rows: VersionedRows[WaveRow] = VersionedRows()
        self._undoing = undoing
        self._stored = stored
        self._partial = partial

    def began(self, process: ProcessRow, now_ms: int) -> None:
        """Something was begun that can be undone."""
        if not process.undoable:
            process.undoable = 1
            self._decide(process, now_ms)

    def rejected(self, process: ProcessRow, now_ms: int) -> None:
        """A handler has rejected, and has not undone anything itself."""
        if not process.asked and process.declared in self._undoing:
            process.asked = REJECTION
            self._decide(process, now_ms)

    def ended(self, process: ProcessRow, event: NewEvent, now_ms: int) -> None:
        """This event is the outcome."""
        if event.type in self._undoing.get(process.declared or "", ()):
            process.asked = event.n
            self._decide(process, now_ms)

    def _decide(self, process: ProcessRow, now_ms: int) -> None:
        if not (process.asked and (process.undoable or self._partial)):
            return
        self.rows.look_up((process.id,), self._stored)
        if not self.rows.version(process.id):
            self.rows.put([decided(process.id, process.asked, process.outcome, now_ms)])
