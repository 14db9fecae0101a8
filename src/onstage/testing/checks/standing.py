"""All that a file alone must show at any moment, whatever has just died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.testing.checks.accounts import unbalanced
from onstage.testing.checks.event_causes import without_cause
from onstage.testing.checks.journal_shape import half_there
from onstage.testing.checks.timer_ends import ended_twice
from onstage.testing.checks.undone_processes import undone_in_wrong_order
from onstage.testing.checks.undone_steps import undone_badly
from onstage.testing.checks.writer_epochs import stale_receipts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["unsound"]

_ALWAYS: Final = (
    ("I5", without_cause),
    ("I6", undone_badly),
    ("I6", undone_in_wrong_order),
    ("I8", ended_twice),
    ("I9", stale_receipts),
    ("I13", half_there),
)


def unsound(file: StoredFile, *, partial: bool = False) -> Iterator[tuple[str, str]]:
    """What does not hold: the number of the invariant, and what was found.

    With `partial` the file holds parts of processes, whose other parts are in other stores.
    """
    for invariant, check in _ALWAYS:
        for what in check(file):
            yield invariant, what
    for what in unbalanced(file, partial=partial):
        yield "I12", what
