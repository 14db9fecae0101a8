"""What needs somebody: set aside by service and exception, overdue, without a handler, late, lagging, violated, ended.

One statement for each kind, all of them on indexes of what is open or set aside, so that the page costs the same
however much has ended before.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.core.undoing import decode_undoing
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import Status
from onstage.observe.progress import decode_progress, owed_by
from onstage.reading.process_rows import live_handlers, root_of
from onstage.runtime.pauses import pauses_in
from onstage.web.panes import pane
from onstage.web.process_list import count_verdicts
from onstage.web.shown import AttentionPage, Need, ProcessRef
from onstage.web.type_shapes import broken_contracts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from onstage.contracts.manifest import AppManifest
    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source

__all__ = ["NEEDS_MAX", "NEED_EXECUTIONS_MAX", "SET_ASIDE_MAX", "WATCHED_MAX", "attention"]

NEEDS_MAX: Final = 100
"""The most lines of the page; behind them it says that there are more."""

NEED_EXECUTIONS_MAX: Final = 500
"""An action on a line is for so many executions at once."""

SET_ASIDE_MAX: Final = 20_000
"""Of so many, the newest, what was set aside is grouped."""

WATCHED_MAX: Final = 2_000
"""Of so many processes, the newest, overdue milestones, broken rules and dead ends are looked for."""

TIMER_LATE_MS: Final = 60_000
"""A timer that has not fired so long after it was due needs somebody; so does an event that nobody has begun with."""

SAMPLES: Final = 5
_GRAVITY: Final = (
    "diverged",
    "dead letter",
    "no handler",
    "contract",
    "overdue",
    "violated",
    "residue",
    "late timer",
    "lag",
    "dead end",
    "paused",
)


async def attention(source: Source, store: StoreFile) -> AttentionPage:
    """What needs somebody, the gravest kind first, within a kind what is most."""
    standing, live = source.standing(store), await live_handlers(store)
    manifest = from_stored(await store.reader.manifest())
    needs = [
        *[each async for each in _set_aside(store)],
        *[each async for each in _without_handler(store, live)],
        *[each async for each in _contracts(source, store, manifest)],
        *[each async for each in _overdue(store, manifest, standing.now_ms)],
        *[each async for each in _violated(store)],
        *[each async for each in _residue(store)],
        *[each async for each in _dead_ends(store)],
        *[each async for each in _paused(store)],
    ]
    if standing.running:
        needs += [each async for each in _late(store, standing.now_ms)]
    needs.sort(key=lambda need: (_GRAVITY.index(need.kind), -need.count, need.since_ms))
    return AttentionPage(
        standing=standing,
        needs=tuple(needs[:NEEDS_MAX]),
        counts=source.remembered("verdicts", store, lambda: count_verdicts(store, live)),
        more=len(needs) > NEEDS_MAX,
    )


async def _refs(store: StoreFile, processes: Iterable[int]) -> tuple[ProcessRef, ...]:
    found = []
    for number in list(dict.fromkeys(processes))[:SAMPLES]:
        view = await store.reader.process(number)
        if view is not None:
            root, key = await root_of(store, view)
            found.append(ProcessRef(process=view.wire_id, key=key, type=view.declared or root))
    return tuple(found)


async def _set_aside(store: StoreFile) -> AsyncIterator[Need]:
    for handler, status, line, count, since, newest, _ in pane(
        store, "set_aside_groups", most=SET_ASIDE_MAX, limit=NEEDS_MAX + 1
    ):
        wanted = {"handler": handler, "status": status, "line": line or "", "limit": NEED_EXECUTIONS_MAX}
        members = pane(store, "set_aside_of_group", **wanted)
        yield Need(
            kind="diverged" if status == Status.DIVERGED else "dead letter",
            service=handler.partition(".")[0],
            handler=handler,
            title=line or "no error was recorded",
            count=count,
            since_ms=since,
            newest_ms=newest,
            samples=await _refs(store, (process for _, process in members)),
            executions=tuple(number for number, _ in members),
            actions=("retry", "drop"),
            verdict="stuck",
        )


async def _without_handler(store: StoreFile, live: frozenset[str] | None) -> AsyncIterator[Need]:
    if live is None:
        return
    names = msgspec.json.encode(sorted(live)).decode()
    for handler, count, first, last, *processes in pane(store, "open_without_handler", live=names):
        times = [await _moment_of(store, number) for number in (first, last)]
        yield Need(
            kind="no handler",
            service=handler.partition(".")[0],
            handler=handler,
            title=f"no live node has the handler {handler}: deploy it again, or `onstage retire {handler}`",
            count=count,
            since_ms=times[0],
            newest_ms=times[1],
            samples=await _refs(store, processes),
            verdict="stuck",
        )


async def _contracts(source: Source, store: StoreFile, manifest: AppManifest) -> AsyncIterator[Need]:
    for each in broken_contracts(source, store):
        handlers = sorted(known.name for known in manifest.handlers if each.type in (*known.triggers, *known.waits))
        changed = f"{each.type} was changed and is version {each.version} as before: {', '.join(each.words)}"
        yield Need(
            kind="contract",
            service=handlers[0].partition(".")[0] if handlers else "",
            handler=handlers[0] if handlers else None,
            title=f"{changed}. Events of before cannot be read: raise the version and add an @upcast",
            count=each.events,
            since_ms=each.since_ms,
            newest_ms=each.newest_ms,
            samples=await _refs(store, each.processes),
            type=each.type,
        )


async def _moment_of(store: StoreFile, execution: int) -> int:
    event = await store.reader.event(execution >> 16)
    return 0 if event is None else hlc_ms(event.hlc)


async def _overdue(store: StoreFile, manifest: AppManifest, now_ms: int) -> AsyncIterator[Need]:
    found: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for process, body in pane(store, "overdue_rows", limit=WATCHED_MAX):
        progress = decode_progress(body)
        for name in progress.late:
            owing = " or ".join(owed_by(manifest, name))
            found[owing, f"{name} is overdue"].append((progress.due[name], process))
        if progress.is_past_deadline:
            found["", "no outcome by the deadline"].append((progress.deadline or now_ms, process))
    for need in _grouped("overdue", found):
        yield await _with_samples(store, *need)


async def _violated(store: StoreFile) -> AsyncIterator[Need]:
    found: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for process, body in pane(store, "newest_watched", limit=WATCHED_MAX):
        for broken in decode_progress(body).broken:
            found["", f"violates {broken.rule}"].append((broken.at, process))
    for need in _grouped("violated", found):
        yield await _with_samples(store, *need)


async def _dead_ends(store: StoreFile) -> AsyncIterator[Need]:
    (floor,) = pane(store, "window", before=1 << 62, most=WATCHED_MAX)[0]
    found: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for process, _, declared, _, ended in pane(store, "newest_dead_ends", floor=floor or 0, limit=WATCHED_MAX):
        found["", f"{declared} ended without an outcome"].append((ended, process))
    for need in _grouped("dead end", found):
        yield await _with_samples(store, *need)


async def _residue(store: StoreFile) -> AsyncIterator[Need]:
    """What could not be undone, a line for each process: each is mended, and resolved, by itself."""
    for process, body in pane(store, "residue", limit=NEEDS_MAX + 1):
        undoing = decode_undoing(body)
        samples = await _refs(store, (process,))
        yield Need(
            kind="residue",
            service="",
            handler=None,
            title="; ".join(undoing.residue),
            count=1,
            since_ms=undoing.ended,
            newest_ms=undoing.ended,
            samples=samples,
            actions=("resolve",),
            verdict="compensated with residue",
        )


def _grouped(
    kind: str, found: dict[tuple[str, str], list[tuple[int, int]]]
) -> Iterator[tuple[str, str, str, list[tuple[int, int]]]]:
    for (service, title), each in found.items():
        yield kind, service, title, sorted(each)


async def _with_samples(store: StoreFile, kind: str, service: str, title: str, each: list[tuple[int, int]]) -> Need:
    verdict = {"overdue": "stuck", "dead end": "dead end"}.get(kind)
    return msgspec.convert(
        {
            "kind": kind,
            "service": service,
            "handler": None,
            "title": title,
            "count": len(each),
            "since_ms": each[0][0],
            "newest_ms": each[-1][0],
            "samples": msgspec.to_builtins(await _refs(store, (process for _, process in each))),
            "verdict": verdict,
        },
        Need,
    )


async def _late(store: StoreFile, now_ms: int) -> AsyncIterator[Need]:
    for handler, count, since, newest, *processes in pane(store, "late_timers", before=now_ms - TIMER_LATE_MS):
        yield Need(
            kind="late timer",
            service=handler.partition(".")[0],
            handler=handler,
            title="what was due has not fired: is the node busy, or the handler paused?",
            count=count,
            since_ms=since,
            newest_ms=newest,
            samples=await _refs(store, processes),
        )
    for handler, count, hlc, newest, oldest in pane(store, "lagging"):
        since = hlc_ms(hlc)
        if now_ms - since < TIMER_LATE_MS:
            continue
        views = [await store.reader.event(number >> 16) for number in (oldest, newest)]
        yield Need(
            kind="lag",
            service=handler.partition(".")[0],
            handler=handler,
            title="events are ready, and nobody has begun with them",
            count=count,
            since_ms=since,
            newest_ms=await _moment_of(store, newest),
            samples=await _refs(store, (view.process for view in views if view is not None)),
        )


async def _paused(store: StoreFile) -> AsyncIterator[Need]:
    opened: dict[str, int] = dict(store.rows("open_handlers"))
    for name, pause in (await pauses_in(store.reader)).items():
        held = sum(count for handler, count in opened.items() if name in (handler, handler.partition(".")[0]))
        yield Need(
            kind="paused",
            service=name.partition(".")[0],
            handler=name,
            title=f"paused by {pause.by}{f': {pause.why}' if pause.why else ''}",
            count=held,
            since_ms=pause.since,
            newest_ms=pause.since,
            actions=("resume",),
        )
