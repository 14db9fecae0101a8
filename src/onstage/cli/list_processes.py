"""`onstage ps`: processes, the newest first, with their verdict and where each of them is now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, final

import click
import msgspec

from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import age, instant, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.cli.store_file import StoreFile
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import ProcessView

__all__ = ["Row", "command", "find_processes", "milliseconds"]

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


@click.command("ps", short_help="List processes: verdict, where each is now, age.")
@click.option("--key", help="Only with this business key.")
@click.option("--type", help="Only of this declared process, or begun by this event type.")
@click.option("--open", "open_only", is_flag=True, help="Only those that are not finished.")
@click.option("--stuck", is_flag=True, help="Only those with something set aside, or with a handler that is gone.")
@click.option("--since", metavar="DURATION", help='Only those begun within, such as "1h" or "3d".')
@limit_option(20)
@surroundings
def command(at: Surroundings, **options: Any) -> None:
    """List processes, the newest first: verdict, where each is now, and how long ago it began."""
    asyncio.run(_list(at, **options))


async def _list(at: Surroundings, *, limit: int, since: str | None, **filters: Any) -> None:
    from onstage.cli.list_subscriptions import under_way
    from onstage.cli.store_file import looking_at, standing
    from onstage.ports.clock import SystemClock

    now = SystemClock().now_ms()
    begun_after = 0 if since is None else now - milliseconds(since)
    with looking_at(at.path()) as store, store.snapshot():
        views = find_processes(store, begun_after=begun_after, **filters)
        rows = [await _row(store, view, now) async for view in _first(views, limit)]
        counts, standing_note = store.counts(), standing(store)
        histories = await under_way(store)
    if at.is_json:
        print_json(rows)
        return
    if rows:
        lines = [[r.key or r.process, r.type, r.verdict, age(r.age_s * 1000), r.now] for r in rows]
        print_table(["KEY", "PROCESS", "VERDICT", "AGE", "NOW"], lines)
    aside = f", {plural(counts.set_aside, 'dead letter')} (`onstage dead ls`)" if counts.set_aside else ""
    note(f"{len(rows):,} of {plural(counts.processes, 'process')} shown; {counts.open:,} open{aside}")
    for text in (*histories, *([standing_note] if standing_note else [])):
        note(text)


def milliseconds(since: str) -> float:
    """A duration such as "3d", in ms. Raises click's UsageError if it is none."""
    from onstage.events.duration import seconds

    try:
        return seconds(since) * 1000
    except ValueError as error:
        raise click.UsageError(f"--since: {error}") from error


async def _first(views: AsyncIterator[ProcessView], limit: int) -> AsyncIterator[ProcessView]:
    async for view in views:
        yield view
        limit -= 1
        if limit == 0:
            return


async def find_processes(
    store: StoreFile,
    *,
    key: str | None = None,
    type: str | None = None,
    open_only: bool = False,
    stuck: bool = False,
    begun_after: float = 0,
) -> AsyncIterator[ProcessView]:
    """The processes that fit, the newest first, read page by page as they are asked for."""
    is_part = store.kind == "part"  # there, the key of a process that began elsewhere is only in its events
    candidates = _stuck(store) if stuck else _pages(store, key=None if is_part else key, open_only=open_only)
    async for view in candidates:
        if view.started < begun_after and not stuck:
            return
        if view.started < begun_after or (open_only and not view.open):
            continue
        root_type, root_key = await _root(store, view)
        if (key is None or key == (root_key if is_part else view.key)) and (
            type is None or type in (view.declared, root_type)
        ):
            yield view


async def _stuck(store: StoreFile) -> AsyncIterator[ProcessView]:
    found = {process for (process,) in store.rows("stuck")}
    live = await _live(store)
    if live is not None:
        names = msgspec.json.encode(sorted(live)).decode()
        found |= {process for (process,) in store.rows("without_handler", names=names)}
    for process in sorted(found, reverse=True):
        view = await store.reader.process(process)
        if view is not None:
            yield view


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


async def _root(store: StoreFile, view: ProcessView) -> tuple[str, str | None]:
    """The type of the first event, or of the one that it keeps until it is due, and the key of the process."""
    from onstage.runtime.watch import kept_type

    event = await store.reader.event(view.id)
    if event is None:
        return "", view.key
    return kept_type(event) or event.type, view.key or event.key


async def _row(store: StoreFile, view: ProcessView, now_ms: int) -> Row:
    from onstage.runtime.watch import verdict_of

    verdict = await verdict_of(store.reader, view.id, live=await _live(store))
    assert verdict is not None, "the process was just read, in the same snapshot"
    root_type, root_key = await _root(store, view)
    return Row(
        process=view.wire_id,
        key=root_key if store.kind == "part" else view.key,
        type=view.declared or root_type,
        declared=view.declared,
        verdict=verdict.status,
        outcome=verdict.outcome,
        now=_now(verdict),
        until=verdict.until,
        open=view.open,
        started=instant(view.started),
        ended=instant(view.ended),
        age_s=max(now_ms - view.started, 0) / 1000,
    )


async def _live(store: StoreFile) -> frozenset[str] | None:
    """The handlers that the newest node has, and Onstage's own; None for a store that is not told of all services."""
    from onstage.contracts.manifest import from_stored
    from onstage.events.delayed import LATER

    if store.kind != "whole":
        return None
    return frozenset(each.name for each in from_stored(await store.reader.manifest()).handlers) | {LATER}


def _now(verdict: Verdict) -> str:
    if verdict.status == "completed":
        return verdict.outcome or ""
    return "; ".join(verdict.reasons)
