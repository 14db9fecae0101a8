"""The list of processes: found by key, verdict, type and handler, a page at a time, the newest first.

A statement finds candidates by what an index knows, the verdict on each is the one that `onstage ps` gives, and what
does not fit is passed over. How far one page looks is bounded: a page may be short and have a next one all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.core.undoing import COMPENSATED, COMPENSATING, RESIDUE, RESOLVED
from onstage.events.process_changed import CHANGED_PREFIX
from onstage.reading.process_rows import find_process, judged, lanes_by_field, live_handlers, root_of, where_now
from onstage.stores.sqlite.reader import process_of
from onstage.web.panes import pane
from onstage.web.shown import ProcessesPage, ProcessFilter, ProcessRow, VerdictCount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.contracts.manifest import AppManifest
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import ProcessView
    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source

__all__ = ["COUNTED_MAX", "JUDGED_MAX", "KEYS_MAX", "PAGE_MAX", "WINDOW_MAX", "count_verdicts", "list_processes"]

PAGE_MAX: Final = 200
"""The most rows of one page."""

COUNTED_MAX: Final = 20_000
"""Processes of one kind are counted up to so many."""

WINDOW_MAX: Final = 50_000
"""One page looks through so many processes; the next one goes on behind them."""

JUDGED_MAX: Final = 400
"""One page gives a verdict on so many candidates."""

KEYS_MAX: Final = 5_000
"""So many processes with a key that begins as looked for are taken, before they are put in order."""

_NEWEST: Final = 1 << 62
_VERDICTS: Final = ("stuck", "running", "waiting", "dead end", "completed")
_UNDONE: Final = {
    "compensating": (COMPENSATING,),
    "compensated": (COMPENSATED, RESOLVED),
    "compensated with residue": (RESIDUE,),
}
"""The verdicts of processes that are undone, and the states that lead to them."""


class _Search(NamedTuple):
    """A statement, what it is given beside the common, and whether it looks through the processes one by one."""

    statement: str
    bindings: dict[str, Any]
    walks: bool = False


async def list_processes(
    source: Source, store: StoreFile, wanted: ProcessFilter, *, after: str | None = None, limit: int = 50
) -> ProcessesPage:
    """A page of the processes that fit; `after` is the cursor that the page before gave (else ValueError)."""
    standing, live = source.standing(store), await live_handlers(store)
    before = _NEWEST if after is None else int(after)
    candidates, following = await _candidates(store, wanted, before, live)
    rows: list[ProcessRow] = []
    for place, view in enumerate(candidates):
        row = await _row(store, view, live, wanted)
        if row is not None:
            rows.append(row)
        if len(rows) == max(1, min(limit, PAGE_MAX)):
            following = view.id if place + 1 < len(candidates) else following
            break
    return ProcessesPage(
        standing=standing,
        filter=wanted,
        rows=tuple(rows),
        counts=source.remembered("verdicts", store, lambda: count_verdicts(store, live)),
        types=tuple(sorted(each.name for each in from_stored(await store.reader.manifest()).processes)),
        next=None if following is None else str(following),
    )


async def _candidates(
    store: StoreFile, wanted: ProcessFilter, before: int, live: frozenset[str] | None
) -> tuple[list[ProcessView], int | None]:
    """What may fit, the newest first, and where the next page goes on if nothing more is taken from it."""
    manifest = from_stored(await store.reader.manifest())
    search = _search(wanted, live, manifest)
    (end,) = pane(store, "window", before=before, most=WINDOW_MAX)[0] if search.walks else (None,)
    declared = {each.name for each in manifest.processes}
    bindings = {
        "before": before,
        "since": wanted.since_ms or 0,
        "until": wanted.until_ms or _NEWEST,
        "declared": wanted.type if wanted.type in declared else None,
        "root": None if wanted.type in declared else wanted.type,
        "limit": JUDGED_MAX + 1,
        **({"floor": end or 0} if search.walks else {}),
    }
    found = [process_of(row) for row in pane(store, search.statement, **bindings, **search.bindings)]
    if len(found) > JUDGED_MAX:
        return found[:JUDGED_MAX], found[JUDGED_MAX - 1].id
    if wanted.q is not None:
        found = await _also_named(store, wanted.q, found, before)
    is_last = end is None or pane(store, "window", before=end, most=1)[0][0] is None
    return found, None if is_last else end


def _search(wanted: ProcessFilter, live: frozenset[str] | None, manifest: AppManifest) -> _Search:
    if wanted.q is not None:
        return _Search("list_key", {"q": wanted.q, "most": KEYS_MAX})
    if wanted.verdict == "stuck" or wanted.error is not None:
        names = None if live is None else msgspec.json.encode(sorted(live)).decode()
        by_field = lanes_by_field(manifest)
        wanted_too = {"handler": wanted.handler, "error": wanted.error, "live": names, "by_field": by_field}
        return _Search("list_stuck", wanted_too)
    if wanted.handler is not None:
        return _Search("list_at_handler", {"handler": wanted.handler})
    match wanted.verdict:
        case "running" | "waiting":
            return _Search("list_open", {"active": int(wanted.verdict == "running")})
        case "compensating" | "compensated" | "compensated with residue":
            return _Search("list_undone", {"states": msgspec.json.encode(_UNDONE[wanted.verdict]).decode()})
        case "completed" | "dead end":
            return _Search("list_ended", {"has_outcome": int(wanted.verdict == "completed")}, walks=True)
        case _:
            return _Search("list_all", {}, walks=True)


async def _also_named(store: StoreFile, name: str, found: list[ProcessView], before: int) -> list[ProcessView]:
    """What was found by the beginning of its key, and the one that has this public id (or is known by it)."""
    try:
        named = await find_process(store, name)
    except LookupError:
        return found
    is_new = named.id < before and all(view.id != named.id for view in found)
    return sorted([*found, named], key=lambda view: -view.id) if is_new else found


async def _row(
    store: StoreFile, view: ProcessView, live: frozenset[str] | None, wanted: ProcessFilter
) -> ProcessRow | None:
    """The process as it is listed; None if it does not fit after all."""
    root, key = await root_of(store, view)
    if root.startswith(CHANGED_PREFIX) and not view.open and wanted.type is None and wanted.q is None:
        return None  # it tells a change of another one
    verdict = await judged(store, view.id, live)
    if wanted.verdict is not None and verdict.status != wanted.verdict:
        return None
    return _shown(view, verdict, root, key)


def _shown(view: ProcessView, verdict: Verdict, root: str, key: str | None) -> ProcessRow:
    return ProcessRow(
        process=view.wire_id,
        key=key,
        type=view.declared or root,
        declared=view.declared,
        verdict=verdict.status,
        outcome=verdict.outcome,
        now=where_now(verdict),
        until_ms=None if verdict.until is None else round(verdict.until.timestamp() * 1000),
        open=view.open,
        started_ms=view.started,
        ended_ms=view.ended,
        violated=tuple(each.rule for each in verdict.violated),
    )


def count_verdicts(store: StoreFile, live: frozenset[str] | None) -> tuple[VerdictCount, ...]:
    """How many processes there are of each verdict, the stuck ones first, each up to a limit.

    What queues behind a dead letter of another process counts as running: only a verdict on each would tell.
    """
    names = None if live is None else msgspec.json.encode(sorted(live)).decode()
    ((stuck,),) = pane(store, "stuck_processes", live=names, most=COUNTED_MAX)
    ((opened, active),) = pane(store, "count_open", most=COUNTED_MAX)
    (floor,) = pane(store, "window", before=_NEWEST, most=WINDOW_MAX)[0]
    ended = [
        pane(store, "count_ended", has_outcome=has_outcome, floor=floor or 0, most=COUNTED_MAX)[0][0]
        for has_outcome in (0, 1)
    ]
    is_all = floor is None or pane(store, "window", before=floor, most=1)[0][0] is None
    waiting = max(opened - active - stuck, 0)
    counts = dict(zip(_VERDICTS, (stuck, active, waiting, *ended), strict=True))
    return (*_counted(counts, opened, is_all=is_all), *_counted_undone(store))


def _counted_undone(store: StoreFile) -> Iterator[VerdictCount]:
    """Those of processes that are undone, as far as there are any. One that is stuck on the way counts twice."""
    found = dict(pane(store, "count_undone", most=COUNTED_MAX))
    for name, states in _UNDONE.items():
        count = sum(found.get(state, 0) for state in states)
        if count:
            yield VerdictCount(verdict=name, count=count, more=count >= COUNTED_MAX)


def _counted(counts: dict[str, int], opened: int, *, is_all: bool) -> tuple[VerdictCount, ...]:
    return tuple(
        VerdictCount(
            verdict=name,
            count=count,
            more=(opened if name in ("running", "waiting") else count) >= COUNTED_MAX
            or (name in ("dead end", "completed") and not is_all),
        )
        for name, count in counts.items()
    )
