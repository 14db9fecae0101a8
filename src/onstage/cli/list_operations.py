"""`onstage audit`: what operators did, from the command line and from the web UI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import instant, moment, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.reading.store_file import StoreFile

__all__ = ["command"]


@click.command("audit", short_help="What operators did: who, when, what, on what.")
@limit_option(50)
@surroundings
def command(at: Surroundings, *, limit: int) -> None:
    """List what operators did to this store, the newest first, and what came of it."""
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        rows = asyncio.run(_find(store, limit))
    if at.is_json:
        print_json(rows)
        return
    if rows:
        lines = [[f"{moment(r['ms'])} UTC", r["by"], r["action"], r["target"], r["result"]] for r in rows]
        print_table(["WHEN", "WHO", "WHAT", "ON", "RESULT"], lines)
    note(f"{plural(len(rows), 'action')} shown")


async def _find(store: StoreFile, limit: int) -> list[dict[str, Any]]:
    from onstage.runtime.audit import OPERATED, operated_in

    notes = await store.reader.notes(OPERATED, newest_first=True, limit=limit)
    return [
        {
            "number": number,
            "at": instant(row.at),
            "ms": row.at,
            "by": row.by,
            "action": row.action,
            "target": row.target,
            "result": row.result if row.done is not None else "nobody knows: the node ended before it answered",
            "done": row.done,
        }
        for number, row in operated_in(notes)
    ]
