"""I13, as far as the file tells it: a journal has no gaps and the length that its execution says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["half_there"]


def half_there(file: StoredFile) -> Iterator[str]:
    """Journals with a gap, of another length than recorded, or of no execution."""
    for execution, places in file.places.items():
        if places != list(range(len(places))):
            yield f"the journal of execution {execution} has a gap: {places[:20]}"
        if execution not in file.executions:
            yield f"the journal of execution {execution} belongs to none"
    for execution, row in file.executions.items():
        if row.length != (count := len(file.places.get(execution, ()))):
            yield f"execution {execution} says that it has {row.length} entries, and has {count}"
