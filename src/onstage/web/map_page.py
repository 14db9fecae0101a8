"""The live map: services and the events between them, with what lately went over each edge.

What is counted is the newest part of the log, so that the page costs the same however long the log is. What is declared
comes from the newest manifest; `topology` names it, so that a layout is made once for it and nothing jumps.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from onstage.contracts.manifest import digest, from_stored
from onstage.events.envelope import hlc_ms
from onstage.observe.service_map import ServiceMap, Tally, declared_map, narrowed, observed_map
from onstage.web.panes import pane
from onstage.web.shown_around import MapPage, Tallied

if TYPE_CHECKING:
    from collections.abc import Collection

    from onstage.observe.service_map import Edge
    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source

__all__ = ["MAP_EVENTS_MAX", "map_page"]

MAP_EVENTS_MAX: Final = 5_000
"""So many events, the newest, and what they started, are counted on the edges."""

RATE_S: Final = 60
_NEWEST: Final = 1 << 62

_Seen = tuple[ServiceMap, Counter[tuple[str, str]], dict[tuple[str, str], tuple[int, int]], bool]


async def map_page(
    source: Source, store: StoreFile, *, services: Collection[str] = (), types: Collection[str] = ()
) -> MapPage:
    """The map around these services and event types; all of it if none are named."""
    standing = source.standing(store)
    manifest = from_stored(await store.reader.manifest())
    declared = declared_map(manifest)
    seen = source.remembered("map", store, lambda: _seen(store, declared, standing.now_ms))
    whole, recent, opened, is_all = seen
    drawn = narrowed(whole, services=services, types=types)
    return MapPage(
        standing=standing,
        topology=digest(manifest),
        services=drawn.services,
        events=drawn.events,
        edges=tuple(_tallied(drawn, edge, recent, opened) for edge in drawn.edges),
        complete=is_all,
    )


def _seen(store: StoreFile, declared: ServiceMap, now_ms: int) -> _Seen:
    (floor,) = pane(store, "event_window", before=_NEWEST, most=MAP_EVENTS_MAX)[0]
    floor = floor or 0
    tally, recent = Tally(), Counter[tuple[str, str]]()
    for name, handler, hlc in pane(store, "recent_events", floor=floor):
        tally.event(name, handler)
        if hlc_ms(hlc) > now_ms - RATE_S * 1000:
            recent[name, handler or ""] += 1
    for name, handler, status, took_ms in pane(store, "recent_executions", floor=floor):
        tally.execution(name, handler, status, took_ms)
    waiting = sorted({edge.target for edge in declared.edges if edge.kind == "waits"})
    for handler in waiting:
        for (name,) in pane(store, "recent_mail", handler=handler, floor=floor, most=MAP_EVENTS_MAX):
            tally.mail(name, handler)
    opened = {(name, handler): (count, aside) for name, handler, count, aside in pane(store, "open_on_edges")}
    is_all = pane(store, "event_window", before=floor, most=1)[0][0] is None
    return observed_map(declared, tally), recent, opened, is_all


def _tallied(
    drawn: ServiceMap, edge: Edge, recent: Counter[tuple[str, str]], opened: dict[tuple[str, str], tuple[int, int]]
) -> Tallied:
    is_output = edge.kind in ("emits", "asks")
    emitter = "" if edge.handler == "outside" else edge.handler
    count, aside = (0, 0) if is_output else opened.get((edge.event, edge.handler), (0, 0))
    seen = edge.seen
    return Tallied(
        source=edge.source,
        target=edge.target,
        kind=edge.kind,
        count=0 if seen is None else seen.count,
        failed=aside if seen is None else max(seen.failed, aside),
        open=count,
        rate_s=recent[edge.event, emitter] / RATE_S if is_output else 0.0,
        p50_ms=None if seen is None else seen.p50_ms,
        p95_ms=None if seen is None else seen.p95_ms,
        mark=drawn.mark(edge),
    )
