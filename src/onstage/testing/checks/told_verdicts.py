"""I7: what may truthfully be said of a process at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.events.receipt import OPEN_MAX, Status

if TYPE_CHECKING:
    from onstage.testing.checks.stored_file import Rows

__all__ = ["FINAL", "truths"]

FINAL: Final = frozenset({"completed", "dead end"})


def truths(rows: Rows, process: str) -> set[str]:
    """The verdicts on the process with this public id that are true now; none if it is not stored."""
    found = rows("select id, open, outcome from onstage_process where wire_id = ?", process)
    if not found:
        return set()
    number, is_open, outcome = found[0]
    if not is_open:
        return {"dead end" if outcome is None else "completed"}
    statuses = {
        Status(status)
        for (status,) in rows(
            "select distinct status from onstage_execution where process = ? and gating and status <= ?",
            number,
            OPEN_MAX,
        )
    }
    if statuses & {Status.PARKED, Status.DIVERGED}:
        return {"stuck"}
    if statuses <= {Status.WAITING, Status.RETRYING}:
        return {"waiting"}
    behind = rows("select 1 from onstage_execution where status in (4, 5) limit 1")
    return {"running", "stuck"} if behind and Status.READY in statuses else {"running"}
