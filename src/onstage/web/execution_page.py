"""One execution: how it stands, its event, its journal entry by entry, and what can be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from onstage.core import journal
from onstage.core.commit import event_of
from onstage.reading.causal_tree import called, line_of, shown_by
from onstage.reading.process_rows import root_of
from onstage.web.durable_calls import kind_of_entry
from onstage.web.event_nodes import event_nodes, payload_text
from onstage.web.process_page import execution_bar
from onstage.web.shown import ExecutionPage, JournalLine, ProcessRef

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source

__all__ = ["ENTRIES_MAX", "execution_page"]

ENTRIES_MAX: Final = 500
"""The most entries of one page of a journal."""


async def execution_page(
    source: Source, store: StoreFile, number: int, *, after: int = -1, limit: int = ENTRIES_MAX
) -> ExecutionPage:
    """The execution with this number, with the journal behind place `after`. Raises LookupError."""
    stored = await store.reader.execution(number)
    process = None if stored is None else await store.reader.process(stored.execution.process)
    if stored is None or process is None:
        raise LookupError(f"there is no execution {number}")
    view = stored.execution
    shown = list(enumerate(stored.entries))[after + 1 : after + 1 + max(1, min(limit, ENTRIES_MAX))]
    (node,) = event_nodes(store, [stored.event])
    emitted = await store.reader.events(process=view.process, after=event_of(view.id), limit=ENTRIES_MAX)
    root, key = await root_of(store, process)
    return ExecutionPage(
        standing=source.standing(store),
        process=ProcessRef(process=process.wire_id, key=key, type=process.declared or root),
        execution=execution_bar(view, stored.entries, [each.n for each in emitted if each.cause == view.id]),
        event=node,
        journal=tuple(_line(place, entry) for place, entry in shown),
        state={name: msgspec.json.encode(value).decode() for name, value in shown_by(stored.entries).items()},
        next=shown[-1][0] if shown and shown[-1][0] + 1 < len(stored.entries) else None,
    )


def _line(place: int, entry: Entry) -> JournalLine:
    kind = type(entry).__name__
    at = getattr(entry, "ended", None) or getattr(entry, "first", None)
    return JournalLine(
        place=place,
        position=called(entry.position),
        kind=kind_of_entry(entry),
        text=line_of(entry) or _words(kind, entry),
        at_ms=at or None,
        data=_payload(entry),
        error=getattr(entry, "error", None),
    )


def _words(kind: str, entry: Entry) -> str:
    match entry:
        case journal.WaitOpened():
            return f"waits for {' or '.join(entry.types)}"
        case journal.SleepOpened():
            return "sleeps"
        case journal.Emitted():
            return f"emitted event #{entry.event}"
        case journal.StateSet():
            return f"shows {entry.key}"
        case journal.Undone():
            return f"undone: {called(entry.position).removeprefix('undo/')}"
        case journal.TokenDrawn():
            return "a token was drawn for its completion from outside"
        case _:
            return kind


def _payload(entry: Entry) -> str | None:
    for name in ("result", "data", "value", "input"):
        body = getattr(entry, name, None)
        if isinstance(body, bytes):
            return payload_text(body)[0]
    return None
