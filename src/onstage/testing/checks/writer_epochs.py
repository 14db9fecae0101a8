"""I9: nothing of an earlier writer is written after something of a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["stale_receipts"]


def stale_receipts(file: StoredFile) -> Iterator[str]:
    """Receipts that were written in an epoch that was over, or that no writer has drawn."""
    newest, last = 0, file.rows("select coalesce(max(epoch), 0) from onstage_incarnation")[0][0]
    for position, epoch in file.rows("select position, epoch from onstage_receipt order by position"):
        if epoch < newest:
            yield f"receipts {position} were written in epoch {epoch}, after {newest}"
        newest = max(newest, epoch)
    if newest > last:
        yield f"receipts were written in epoch {newest}, the last one drawn is {last}"
