"""Processes as rows: found by key, type and standing, the newest first, each with its verdict and where it is now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.core.identity import number_in
from onstage.core.undoing import UNDO
from onstage.events.delayed import LATER
from onstage.events.process_changed import CHANGED_PREFIX
from onstage.reading.why_open import explained
from onstage.reading.wording import clean, instant
from onstage.runtime.intake import process_known_as
from onstage.runtime.watch import kept_type, verdict_of

if TYPE_CHECKING:
    from onstage.contracts.manifest import AppManifest
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import ProcessView
    from onstage.reading.heartbeats import Heartbeat
    from onstage.reading.store_file import StoreFile

__all__ = [
    "Row",
    "find_process",
    "find_processes",
    "judged",
    "lanes_by_field",
    "live_handlers",
    "root_of",
    "row_of",
    "where_now",
]

PAGE: Final = 500
LOOKED_AT_MAX: Final = 200_000


@final
class Row(msgspec.Struct, frozen=True):
    """One process as it is listed: `type` is its declared name, or the type of its first event."""

    process: str
    key: str | None
    type: str
    declared: str | None
    verdict: str
    outcome: str | None
    now: str
    until: Any
    open: int
    started: Any
    ended: Any
    age_s: float


async def find_processes(
    store: StoreFile,
    *,
    key: str | None = None,
    type: str | None = None,
    open_only: bool = False,
    stuck: bool = False,
    overdue: bool = False,
    violated: bool = False,
    begun_after: float = 0,
    begun_before: float | None = None,
) -> AsyncIterator[ProcessView]:
    """The processes that fit, the newest first, read page by page as they are asked for."""
    is_part = store.kind == "part"  # there, the key of a process that began elsewhere is only in its events
    listed = stuck or overdue or violated
    candidates = (
        _listed(store, stuck=stuck, overdue=overdue, violated=violated)
        if listed
        else _pages(store, key=None if is_part else key, open_only=open_only)
    )
    async for view in candidates:
        if view.started < begun_after and not listed:
            return
        if begun_before is not None and view.started >= begun_before:
            continue
        if view.started < begun_after or (open_only and not view.open):
            continue
        root_type, root_key = await root_of(store, view)
        if root_type.startswith(CHANGED_PREFIX) and type is None and not view.open:
            continue  # it tells a change of another one
        if (key is None or key == (root_key if is_part else view.key)) and (
            type is None or type in (view.declared, root_type)
        ):
            yield view


async def _listed(store: StoreFile, *, stuck: bool, overdue: bool, violated: bool) -> AsyncIterator[ProcessView]:
    """Those of any of these kinds; what is overdue is stuck."""
    kinds = {"overdue": stuck or overdue, "stuck": stuck, "violated": violated}
    found = {process for name, wanted in kinds.items() if wanted for (process,) in store.rows(name)}
    live = await live_handlers(store) if stuck else None
    if live is not None:
        names = msgspec.json.encode(sorted(live)).decode()
        found |= {process for (process,) in store.rows("without_handler", names=names)}
    behind: set[int] = set()
    if stuck:
        by_field = lanes_by_field(from_stored(await store.reader.manifest()))
        behind = {process for (process,) in store.rows("behind_set_aside", by_field=by_field)} - found
    for process in sorted(found | behind, reverse=True):
        view = await store.reader.process(process)
        if view is None or (process in behind and (await judged(store, process, live)).status != "stuck"):
            continue
        yield view


def lanes_by_field(manifest: AppManifest) -> str:
    """The handlers whose lane is no event's key, or a batch's, as JSON: a statement cannot tell who is in whose way."""
    loose = [each.name for each in manifest.handlers if each.key is not None or each.lane in ("batch", "batches")]
    return msgspec.json.encode(loose).decode()


async def _pages(store: StoreFile, *, key: str | None, open_only: bool) -> AsyncIterator[ProcessView]:
    before: int | None = None
    looked_at = 0
    while page := await store.reader.processes(key=key, open_only=open_only, before=before, limit=PAGE):
        for view in page:
            yield view
        looked_at += len(page)
        if len(page) < PAGE or looked_at >= LOOKED_AT_MAX:
            return
        before = page[-1].id


async def root_of(store: StoreFile, view: ProcessView) -> tuple[str, str | None]:
    """The type of the first event, or of the one that it keeps until it is due, and the key of the process."""
    event = await store.reader.event(view.id)
    if event is None:
        return "", view.key
    return kept_type(event) or event.type, view.key or event.key


async def judged(
    store: StoreFile, process: int, live: frozenset[str] | None, beats: dict[int, list[Heartbeat]] | None = None
) -> Verdict:
    """The verdict on a process that was just read, in the same snapshot; `live` is what `live_handlers` says.

    With `beats` it names what long steps said last.
    """
    verdict = await verdict_of(store.reader, process, live=live)
    assert verdict is not None, "the process was just read, in the same snapshot"
    return await explained(store, process, verdict, beats)


async def row_of(
    store: StoreFile, view: ProcessView, now_ms: int, beats: dict[int, list[Heartbeat]] | None = None
) -> Row:
    """One process with its verdict, as the file says it; with `beats`, what its long steps said last."""
    verdict = await judged(store, view.id, await live_handlers(store), beats)
    root_type, root_key = await root_of(store, view)
    return Row(
        process=view.wire_id,
        key=root_key if store.kind == "part" else view.key,
        type=view.declared or root_type,
        declared=view.declared,
        verdict=verdict.status,
        outcome=verdict.outcome,
        now=where_now(verdict),
        until=verdict.until,
        open=view.open,
        started=instant(view.started),
        ended=instant(view.ended),
        age_s=max(now_ms - view.started, 0) / 1000,
    )


async def live_handlers(store: StoreFile) -> frozenset[str] | None:
    """The handlers that the newest node has, and Onstage's own; None for a store that is not told of all services."""
    if store.kind != "whole":
        return None
    return frozenset(each.name for each in from_stored(await store.reader.manifest()).handlers) | {LATER, UNDO}


def where_now(verdict: Verdict) -> str:
    """Where a process is now, in one line."""
    if verdict.status == "completed":
        return "; ".join((verdict.outcome or "", *map(str, verdict.violated)))
    return "; ".join(verdict.reasons)


async def find_process(store: StoreFile, key: str) -> ProcessView:
    """The newest process with this key, or the one with this public id. Raises LookupError."""
    found = await store.reader.processes(key=key, limit=1)
    if found:
        return found[0]
    number = number_in(key)
    view = None if number is None else await store.reader.process(number)
    if view is not None and view.wire_id == key:
        return view
    number = await process_known_as(store.reader, key)
    if number is None and store.kind == "part":
        number = next((row[0] for row in store.rows("newest_with_key", key=key)), None)
    view = None if number is None else await store.reader.process(number)
    if view is None:
        raise LookupError(f"there is no process with key or id {clean(key)}")
    return view
