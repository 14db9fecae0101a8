"""I6, within one execution: a rejected one has undone each of its steps once, the last one first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from onstage.core.journal import Abandoned, Begun, Continued, Emitted, Rejected, Stepped, Transacted, Undone
from onstage.events.receipt import Status
from onstage.testing.checks.undone_processes import waved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.core.journal import Entry
    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["undone_badly"]

_EARLIER: Final = re.compile(r"\d+/")
"""What stands before the position of a step that ended before its execution began anew."""


def undone_badly(file: StoredFile) -> Iterator[str]:
    """Rejected executions that left a step as it was, undid one twice or in another order, or went on afterwards.

    The order is looked at from the rejection on: what was undone before belonged to a part that had been given up.
    Executions of processes that are undone are left out: see `undone_processes`.
    """
    left_to_waves = waved(file)
    for execution, row in file.executions.items():
        if row.process in left_to_waves:
            continue
        entries = file.journals.get(execution, [])
        said = next((place for place, entry in enumerate(entries) if isinstance(entry, Rejected)), len(entries))
        if row.status != Status.REJECTED and not (row.status == Status.CANCELLED and said < len(entries)):
            continue
        done = _done(entries)
        for position in _undone(entries[:said]):
            done = [step for step in done if step.position != position]
        undone = _undone(entries[said:])
        names = [step.position for step in done]
        if row.status == Status.CANCELLED and _was_terminated(file, execution):
            continue
        if sorted(undone) != sorted(names) or _is_out_of_order(done, undone):
            yield f"execution {execution} did {names} and undid {undone}"
        forward = (Begun, Stepped, Transacted, Emitted)
        if after := [e.position for e in entries[said:] if isinstance(e, forward) and "undo/" not in e.position]:
            yield f"execution {execution} was rejected, and went on with {after}"


def _was_terminated(file: StoredFile, execution: int) -> bool:
    """Whether somebody ended it at once, perhaps in the middle of its undo: then nothing more is undone."""
    found = file.rows("select error from onstage_execution where id = ?", execution)
    return (found[0][0] or "").startswith("terminated")


class _Done(NamedTuple):
    """A step that ended: its position, and the places in the journal where it began and ended."""

    position: str
    began: int
    ended: int


def _done(entries: list[Entry]) -> list[_Done]:
    """The steps with an undo, in the order in which they ended."""
    began: dict[str, int] = {}
    done = []
    for place, entry in enumerate(entries):
        if isinstance(entry, Continued):
            began = {}
        began.setdefault(entry.position, place)
        if isinstance(entry, Stepped | Abandoned) and entry.undo:
            done.append(_Done(entry.position, began[entry.position], place))
    return done


def _is_out_of_order(done: list[_Done], undone: list[str]) -> bool:
    """Whether a step was undone before one that had begun after it had ended. Those side by side have no order."""
    if len(set(undone)) < len(undone):
        return undone != [step.position for step in done][::-1]
    places = {position: place for place, position in enumerate(undone)}
    pairs = ((one, other) for one in done for other in done if one.ended < other.began)
    return any(places[one.position] < places[other.position] for one, other in pairs)


def _undone(entries: list[Entry]) -> list[str]:
    places = (entry.position.removeprefix("undo/") for entry in entries if isinstance(entry, Undone))
    return [_EARLIER.sub("", place, count=1) if _EARLIER.match(place) else place for place in places]
