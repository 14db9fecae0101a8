"""Segments: what one execution did between two things that it heard, read from its journal.

Theory of operation. An execution hears its event, and later what its waits and requests take. Each of these begins a
segment. What a segment emits, and what it did, was caused by what began it and the segments before; never by what a
later one heard. So segments of all executions of a process, joined by the events between them, have no cycle, whatever
was asked and answered. What did two things beside each other, in branches, is taken as if it had done them in the order
of its journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from onstage.core.journal import (
    Abandoned,
    Answered,
    Asked,
    Attempted,
    Begun,
    Continued,
    Emitted,
    Failed,
    Held,
    Stepped,
    Undone,
    WaitEnded,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.core.journal import Entry

__all__ = ["NEVER_BEGAN", "Due", "Segment", "segments_of"]

NEVER_BEGAN: Final = "stopped before it began"
"""What an `Attempted` says of a step that was marked as begun and had no effect."""


class Due(NamedTuple):
    """A step whose undo is due, under the name that its execution's own undo would give it; `Begun` is in doubt."""

    position: str
    entry: Stepped | Abandoned | Begun


class Segment(NamedTuple):
    """What an execution did from one thing it heard (`began_by`, 0 for its own event) to the next, in its order."""

    began_by: int
    outputs: tuple[int, ...]
    dues: tuple[Due, ...]


class _Open:
    def __init__(self, began_by: int) -> None:
        self.began_by = began_by
        self.outputs: list[int] = []


def segments_of(journal: Iterable[Entry]) -> list[Segment]:
    """The segments in a journal, at least one. What the handler returned at its end is no entry: it is of the last."""
    opened = [_Open(0)]
    dues: dict[str, tuple[Due, int]] = {}  # of this round (`continue_as_new`), with the segment
    earlier: dict[str, tuple[Due, int]] = {}
    for length, entry in enumerate(journal, 1):
        match entry:
            case WaitEnded(event=event) | Answered(event=event) if event:
                opened.append(_Open(event))
            case Emitted(event=event) | Asked(event=event, joined=False) if event:
                opened[-1].outputs.append(event)
            case Begun() | Stepped() | Abandoned() if entry.undo is not None:
                dues.pop(entry.position, None)  # it takes its place in the order when it ends
                dues[entry.position] = (Due(entry.position, entry), len(opened) - 1)
            case Failed() | Held():
                dues.pop(entry.position, None)
            case Attempted(error=error) if error == NEVER_BEGAN:
                dues.pop(entry.position, None)
            case Undone():
                done = entry.position.removeprefix("undo/")
                if dues.pop(done, None) is None:
                    earlier.pop(done, None)
            case Continued():
                for due, at in dues.values():
                    name = f"{length}/{due.position}"
                    earlier[name] = (due._replace(position=name), at)
                dues = {}
            case _:
                pass
    of: list[list[Due]] = [[] for _ in opened]
    for due, at in (*earlier.values(), *dues.values()):
        of[at].append(due)
    return [Segment(each.began_by, tuple(each.outputs), tuple(own)) for each, own in zip(opened, of, strict=True)]
