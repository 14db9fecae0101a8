"""Which steps of an execution an operator may skip: those that were begun, or tried, and have not come to an end.

A step that is skipped counts as done with a result that somebody gives. The undo of a step that is skipped counts as
done. An outcome is kept for a *position*, at which the execution takes it when it comes there again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from onstage.core.journal import Abandoned, Attempted, Begun, HandedOver, Rejected, Stepped, Undone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onstage.core.journal import Entry
    from onstage.core.segments import Due

__all__ = ["Skippable", "name_of", "named", "open_steps", "open_undos"]

_UNDO: Final = "undo/"
_FINISH: Final = "undo/finish/"
_STEP_FAILED: Final = re.compile(r"\bstep (\S+) failed after \d+ attempt")


class Skippable(NamedTuple):
    """A call that has not ended: where its outcome is taken, and the position of its step. An undo has no result."""

    taken_at: str
    step: str
    is_undo: bool


def name_of(position: str) -> str:
    """The name of the step at a position, without its branch and its number."""
    return position.rpartition("#")[0].rpartition("/")[2]


def named(found: Iterable[Skippable], step: str) -> list[Skippable]:
    """Those of them that a person means by `step`: the name of a step, or its whole position."""
    return [each for each in found if step in (each.step, name_of(each.step))]


def open_steps(entries: Sequence[Entry], error: str | None = None) -> list[Skippable]:
    """Those of a handler's execution. With the `error` it was set aside with, also a step that left no entry."""
    newest = {entry.position: entry for entry in entries}
    if any(isinstance(entry, Rejected) for entry in entries):
        finished = [e for e in entries if isinstance(e, Stepped | Abandoned) and e.undo]
        left = [e.position for e in reversed(finished) if not isinstance(newest.get(_UNDO + e.position), Undone)]
        return [Skippable(_UNDO + position, position, is_undo=True) for position in left]
    is_open = (Begun, Attempted, HandedOver)
    found = [at for at, entry in newest.items() if isinstance(entry, is_open) and not at.startswith(_UNDO)]
    unrecorded = _unrecorded(newest, error or "")
    if unrecorded is not None and all(name_of(at) != name_of(unrecorded) for at in found):
        found.append(unrecorded)
    return [Skippable(position, position, is_undo=False) for position in found]


def _unrecorded(newest: dict[str, Entry], error: str) -> str | None:
    """A step that failed at its first attempt leaves no entry. Its failure names it; it was the next of that name."""
    said = _STEP_FAILED.search(error)
    if said is None:
        return None
    taken = sum(1 for at in newest if at.rpartition("#")[0] == said[1])
    return f"{said[1]}#{taken}"


def open_undos(entries: Sequence[Entry], dues: Iterable[Due], finishing: Iterable[str] = ()) -> list[Skippable]:
    """Those of an undo run, in the order in which they are undone; `finishing` are steps in doubt that end first."""
    newest = {entry.position: entry for entry in entries}
    found: list[Skippable] = []
    first = set(finishing)
    for due in reversed(tuple(dues)):
        if isinstance(newest.get(_UNDO + due.position), Undone):
            continue
        if due.position in first and not isinstance(newest.get(_FINISH + due.position), Stepped):
            found.append(Skippable(_FINISH + due.position, due.position, is_undo=False))
        found.append(Skippable(_UNDO + due.position, due.position, is_undo=True))
    return found
