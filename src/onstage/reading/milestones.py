"""Milestones and the deadline of a process: what came when, what is due, what is late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import msgspec

from onstage.reading.wording import instant

if TYPE_CHECKING:
    from onstage.observe.progress import Progress
    from onstage.reading.store_file import StoreFile

__all__ = ["Timed", "find_timed"]


@final
class Timed(msgspec.Struct, frozen=True):
    """A milestone, or with None the deadline: when it is due, when it came, and how it stands.

    `state` is "in time", "late" (it came late, or its event ended the process), "overdue", "open" or "not needed".
    """

    milestone: str | None
    due: Any
    came: Any
    state: str
    due_ms: int


async def find_timed(store: StoreFile, process: int) -> list[Timed]:
    """The milestones of a process in the order in which they are due, then its deadline; empty if it is not watched."""
    from onstage.observe.progress import decode_progress

    rows = await store.reader.progress((process,))
    if not rows:
        return []
    progress = decode_progress(rows[0].body)
    names = sorted(progress.due, key=progress.due.__getitem__)
    found = [_milestone(progress, name) for name in names]
    if progress.deadline is not None:
        state = {"": "open", "met": "in time", "late": "late"}.get(progress.over, "overdue")
        if state == "overdue" and progress.outcome is not None:
            state = "late"
        found.append(Timed(None, instant(progress.deadline), None, state, progress.deadline))
    return found


def _milestone(progress: Progress, name: str) -> Timed:
    due, came = progress.due[name], progress.seen.get(name)
    if came is not None:
        state = "in time" if came <= due else "late"
    elif name in progress.late:
        state = "overdue"
    else:
        state = "open" if name in progress.owed else "not needed"
    return Timed(name, instant(due), instant(came), state, due)
