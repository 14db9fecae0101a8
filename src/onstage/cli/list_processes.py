"""`onstage ps`: processes, the newest first, with their verdict and where each of them is now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import age, note, plural, print_json, print_table
from onstage.cli.process_filters import process_filters, rows_of

if TYPE_CHECKING:
    from onstage.ports.store import ProcessView
    from onstage.reading.process_rows import Row
    from onstage.reading.store_file import StoreFile

__all__ = ["command"]


@click.command("ps", short_help="List processes: verdict, where each is now, age.")
@process_filters
@limit_option(20)
@surroundings
def command(at: Surroundings, **options: Any) -> None:
    """List processes, the newest first: verdict, where each is now, and how long ago it began."""
    asyncio.run(_list(at, **options))


async def _list(at: Surroundings, *, limit: int, **filters: Any) -> None:
    from onstage.cli.list_subscriptions import under_way
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at, standing

    with looking_at(at.path()) as store, store.snapshot():
        rows = [row async for row in _first(rows_of(store, SystemClock().now_ms(), **filters), limit)]
        summary = _summary(store)
        counts, standing_note = store.counts(), standing(store)
        histories = await under_way(store)
    if at.is_json:
        print_json(rows)
        return
    if rows:
        lines = [[r.key or r.process, r.type, r.verdict, age(r.age_s * 1000), r.now] for r in rows]
        print_table(["KEY", "PROCESS", "VERDICT", "AGE", "NOW"], lines)
    aside = f", {plural(counts.set_aside, 'dead letter')} (`onstage dead ls`)" if counts.set_aside else ""
    note(f"{len(rows):,} of {plural(counts.processes, 'process')} shown; {summary}{aside}")
    for text in (*histories, *([standing_note] if standing_note else [])):
        note(text)


def _summary(store: StoreFile) -> str:
    """How many processes there are of each kind."""
    ((completed, dead_ends, still_open, undone),) = store.rows("verdict_counts")
    overdue, violated = (len(store.rows(name)) for name in ("overdue", "violated"))
    said = [f"{completed:,} completed"] if completed else []
    said += [plural(dead_ends, "dead end")] if dead_ends else []
    said += [f"{undone:,} compensated"] if undone else []
    said += [f"{still_open:,} open"]
    said += [f"{overdue:,} overdue"] if overdue else []
    return ", ".join([*said, *([f"{violated:,} violated"] if violated else [])])


async def _first(rows: AsyncIterator[tuple[ProcessView, Row]], limit: int) -> AsyncIterator[Row]:
    async for _, row in rows:
        yield row
        limit -= 1
        if limit == 0:
            return
