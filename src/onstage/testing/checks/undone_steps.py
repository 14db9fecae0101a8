"""I6, within one execution: a rejected one has undone each of its steps once, the last one first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.core.journal import Begun, Emitted, Rejected, Stepped, Transacted, Undone
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["undone_badly"]


def undone_badly(file: StoredFile) -> Iterator[str]:
    """Rejected executions that left a step as it was, undid one twice or in another order, or went on afterwards."""
    for execution, row in file.executions.items():
        if row.status != Status.REJECTED:
            continue
        entries = file.journals.get(execution, [])
        done = [entry.position for entry in entries if isinstance(entry, Stepped) and entry.undo]
        undone = [entry.position.removeprefix("undo/") for entry in entries if isinstance(entry, Undone)]
        if undone != done[::-1]:
            yield f"execution {execution} did {done} and undid {undone}"
        said = next((place for place, entry in enumerate(entries) if isinstance(entry, Rejected)), len(entries))
        forward = (Begun, Stepped, Transacted, Emitted)
        if after := [e.position for e in entries[said:] if isinstance(e, forward) and "undo/" not in e.position]:
            yield f"execution {execution} was rejected, and went on with {after}"
