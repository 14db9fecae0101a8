"""Event types: who emits each, who reacts to it or waits for it, its versions, and the newest of its events."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.events.codec import inlined
from onstage.events.envelope import hlc_ms
from onstage.events.topic import SYSTEM_PREFIX
from onstage.ports.store import EventView
from onstage.reading.process_rows import root_of
from onstage.web.event_nodes import event_nodes
from onstage.web.panes import pane
from onstage.web.shown import ProcessRef
from onstage.web.shown_around import EventTypePage, EventTypeRow, EventTypesPage, SampleEvent, SchemaVersion
from onstage.web.type_shapes import changes_to, shapes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.contracts.manifest import AppManifest
    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source
    from onstage.web.type_shapes import Shape

__all__ = ["EVENTS_COUNTED_MAX", "SAMPLES_MAX", "event_type_page", "event_types_page"]

EVENTS_COUNTED_MAX: Final = 20_000
"""Events are counted by type among so many, the newest."""

SAMPLES_MAX: Final = 50
"""The most events of one page of a type."""

_NEWEST: Final = 1 << 62
_BLANK: Final = {"string": "...", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


async def event_types_page(source: Source, store: StoreFile) -> EventTypesPage:
    """All event types that are declared or were seen, by name; Onstage's own only if somebody handles them."""
    manifest = from_stored(await store.reader.manifest())
    counts = source.remembered("types", store, lambda: _counts(store))
    stored = {name for (name,) in pane(store, "type_names")}
    declared = {each.name for each in manifest.types} | {name for each in manifest.handlers for name in each.waits}
    shown = sorted(declared | {name for name in stored if not name.startswith(SYSTEM_PREFIX)})
    rows = tuple(_row(manifest, name, counts.get(name)) for name in shown)
    return EventTypesPage(standing=source.standing(store), types=rows)


def _counts(store: StoreFile) -> dict[str, tuple[int, int]]:
    """How many there are of each type among the newest events, and the clock of the newest of each."""
    return {name: (count, hlc) for name, count, hlc in pane(store, "type_counts", most=EVENTS_COUNTED_MAX)}


def _row(manifest: AppManifest, name: str, counted: tuple[int, int] | None) -> EventTypeRow:
    declared = next((each for each in manifest.types if each.name == name), None)
    count, hlc = counted or (0, None)
    return EventTypeRow(
        type=name,
        version=declared.version if declared else 1,
        key=declared.key if declared else None,
        producers=_named(each.name for each in manifest.handlers if name in each.emits or name in each.asks),
        consumers=_named(each.name for each in manifest.handlers if name in each.triggers),
        waiters=_named(each.name for each in manifest.handlers if name in each.waits),
        count=count,
        more=False,
        newest_ms=None if hlc is None else hlc_ms(hlc),
    )


def _named(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


async def event_type_page(
    source: Source, store: StoreFile, name: str, *, after: int | None = None, limit: int = 20
) -> EventTypePage:
    """One event type with its newest events, before number `after`. Raises LookupError."""
    manifest = from_stored(await store.reader.manifest())
    stored = {each for (each,) in pane(store, "type_names")}
    if name not in stored | {each.name for each in manifest.types}:
        raise LookupError(f"there is no event type {name}")
    limit = max(1, min(limit, SAMPLES_MAX))
    (floor,) = pane(store, "event_window", before=after or _NEWEST, most=EVENTS_COUNTED_MAX)[0]
    wanted = {"type": name, "before": after or _NEWEST, "floor": floor or 0, "limit": limit + 1}
    found = [EventView(*row) for row in pane(store, "samples", **wanted)]
    samples = await _samples(store, found[:limit])
    counts = source.remembered("types", store, lambda: _counts(store))
    return EventTypePage(
        standing=source.standing(store),
        type=_row(manifest, name, counts.get(name)),
        versions=tuple(_versions(shapes_of(source, store).get(name, []))),
        samples=samples,
        template=samples[0].event.data if samples and not samples[0].event.truncated else _template(manifest, name),
        next=found[limit - 1].n if len(found) > limit else None,
    )


async def _samples(store: StoreFile, found: list[EventView]) -> tuple[SampleEvent, ...]:
    samples = []
    for view, node in zip(found, event_nodes(store, found), strict=True):
        process = await store.reader.process(view.process)
        if process is None:
            continue
        root, key = await root_of(store, process)
        ref = ProcessRef(process=process.wire_id, key=key, type=process.declared or root)
        samples.append(SampleEvent(event=node, process=ref))
    return tuple(samples)


def _versions(shapes: list[Shape]) -> Iterable[SchemaVersion]:
    for shape, earlier in zip_longest(shapes, shapes[1:]):
        changes = changes_to(shape, earlier) if earlier else ()
        yield SchemaVersion(
            version=shape.version,
            since_ms=shape.since_ms,
            fingerprint=f"{shape.fingerprint:016x}",
            schema=msgspec.json.format(shape.text, indent=2) if shape.text else None,
            changes=tuple(change.words for change in changes if not change.breaks),
            breaks=tuple(change.words for change in changes if change.breaks),
        )


def _template(manifest: AppManifest, name: str) -> str:
    declared = next((each for each in manifest.types if each.name == name), None)
    fields: dict[str, Any] = {declared.key: "..."} if declared and declared.key else {}
    schema = inlined(msgspec.json.decode(declared.shape)) if declared and declared.shape else {}
    known = schema.get("properties", {})
    fields |= {each: _BLANK.get(str(known.get(each, {}).get("type"))) for each in schema.get("required", ())}
    return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()
