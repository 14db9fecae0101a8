"""The durable calls of one execution, as its journal tells them: a bar for each call, in the order in which they began.

Not every entry says when: a step says when it ended and, once it failed, when it began; a wait begins with the entry,
whose time nobody wrote down. What is not known is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.core import journal
from onstage.reading.causal_tree import called, line_of
from onstage.web.shown import StepBar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.core.journal import Entry

__all__ = ["bars_of", "kind_of_entry"]

_STEPS = (journal.Begun, journal.Attempted, journal.Stepped, journal.Failed, journal.Held, journal.Abandoned)


def bars_of(entries: Iterable[Entry]) -> tuple[StepBar, ...]:
    """A bar for each durable call: a later entry at a position replaces an earlier one."""
    newest: dict[str, StepBar] = {}
    for entry in entries:
        bar = _bar(entry, newest.get(entry.position))
        if bar is not None:
            newest[entry.position] = bar
    return tuple(newest.values())


def kind_of_entry(entry: Entry) -> str:
    """What an entry is about, in a word."""
    match entry:
        case journal.Undone():
            return "undo"
        case journal.HandedOver() | journal.TokenDrawn():
            return "step"
        case journal.WaitOpened() | journal.WaitEnded() | journal.WaitHopeless():
            return "wait"
        case journal.SleepOpened() | journal.Slept():
            return "sleep"
        case journal.Asked() | journal.Answered():
            return "ask"
        case journal.Transacted():
            return "transaction"
        case journal.StateRead() | journal.StateWritten() | journal.StateSet():
            return "state"
        case _:
            return "step" if isinstance(entry, _STEPS) else "other"


def _bar(entry: Entry, before: StepBar | None) -> StepBar | None:
    kind, start, end = kind_of_entry(entry), None if before is None else before.start_ms, None
    text, state, attempts, event = line_of(entry), "done", 1, None
    match entry:
        case journal.Begun():
            state = "in doubt"
        case journal.Attempted():
            state, attempts = "retrying", entry.attempts
            start = entry.first or start
        case journal.Stepped() | journal.Abandoned():
            attempts, end = entry.attempts, entry.ended
        case journal.Failed() | journal.Held():
            state, attempts = "failed", entry.attempts
        case journal.HandedOver():
            state, attempts, start = "waiting", entry.attempts, entry.first
        case journal.WaitOpened():
            state, text = "waiting", f"waits for {' or '.join(entry.types)}"
        case journal.SleepOpened():
            state, text, end = "waiting", "sleeps", entry.due
        case journal.WaitEnded() | journal.Answered():
            event = entry.event or None
            state = "done" if entry.event else "failed"
        case journal.WaitHopeless():
            state = "failed"
        case journal.Asked():
            state, event = "waiting", entry.event
        case journal.Undone():
            state, text = "undone", f"undone: {called(entry.position).removeprefix('undo/')}"
        case _:
            pass
    if text is None:
        return None
    error = getattr(entry, "error", None)
    return StepBar(
        position=entry.position,
        kind=kind,
        state=state,
        text=text,
        attempts=attempts,
        start_ms=start,
        end_ms=end,
        event=event,
        error=error,
    )
