"""What lies around processes: the handlers of each service, and what operators did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.contracts.manifest import from_stored
from onstage.runtime.audit import OPERATED, operated_in
from onstage.runtime.pauses import pause_of, pauses_in
from onstage.web.panes import pane
from onstage.web.shown_around import AuditPage, AuditRow, ServiceRow, ServicesPage

if TYPE_CHECKING:
    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source

__all__ = ["AUDIT_PAGE_MAX", "audit_page", "services_page"]

AUDIT_PAGE_MAX: Final = 200
"""The most rows of one page of the audit log."""

_NOBODY_KNOWS: Final = "nobody knows: the node ended before it answered"


async def services_page(source: Source, store: StoreFile) -> ServicesPage:
    """The handlers that the newest application declares, by name."""
    paused = await pauses_in(store.reader)
    standing_at = {name: (opened, aside) for name, opened, aside in pane(store, "open_at_handlers")}
    rows = []
    for handler in from_stored(await store.reader.manifest()).handlers:
        pause = pause_of(handler.name, paused)
        opened, aside = standing_at.get(handler.name, (0, 0))
        rows.append(
            ServiceRow(
                service=handler.service,
                handler=handler.name,
                triggers=handler.triggers,
                emits=handler.emits,
                waits=handler.waits,
                open=opened,
                set_aside=aside,
                limits=handler.flow,
                paused_ms=None if pause is None else pause.since,
                paused_by=None if pause is None else pause.by,
                paused_why=None if pause is None else pause.why,
            )
        )
    return ServicesPage(standing=source.standing(store), handlers=tuple(rows))


async def audit_page(source: Source, store: StoreFile, *, after: int | None = None, limit: int = 50) -> AuditPage:
    """What operators did, the newest first; `after` is the number of the last row of the page before."""
    limit = max(1, min(limit, AUDIT_PAGE_MAX))
    if after is None:
        notes = await store.reader.notes(OPERATED, newest_first=True, limit=limit)
    else:
        first = max(after - limit, 0)
        notes = await store.reader.notes(OPERATED, after=first - 1, limit=min(limit, after - first))
        notes = [note for note in reversed(notes) if note.number < after]
    rows = tuple(
        AuditRow(
            number=number,
            at_ms=row.at,
            by=row.by,
            action=row.action,
            target=row.target,
            result=row.result if row.done is not None else _NOBODY_KNOWS,
            done=row.done is True,
        )
        for number, row in operated_in(notes)
    )
    oldest = rows[-1].number if rows else 0
    more = bool(rows) and bool([n for n in await store.reader.notes(OPERATED, limit=1) if n.number < oldest])
    return AuditPage(standing=source.standing(store), rows=rows, next=oldest if more else None)
