"""`onstage waits`: executions that wait for an event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import age, instant, moment, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.reading.store_file import StoreFile

__all__ = ["command"]

PAGE: Final = 1000


@click.command("waits", short_help="List what waits for an event, and until when.")
@click.option("--type", help="Only what waits for this event type.")
@limit_option(50)
@surroundings
def command(at: Surroundings, *, type: str | None, limit: int) -> None:
    """List the executions that wait for an event: which, for which process, and until when."""
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        rows = asyncio.run(find_waits(store, type=type, limit=limit))
    if at.is_json:
        print_json(rows)
        return
    now = SystemClock().now_ms()
    if rows:
        lines = [
            [r["key"] or r["process"], r["handler"], _until(r["due_ms"], now), " or ".join(r["for"])] for r in rows
        ]
        print_table(["KEY", "HANDLER", "UNTIL", "FOR"], lines)
    note(f"{plural(len(rows), 'wait')} shown")


def _until(due_ms: int | None, now_ms: int) -> str:
    if due_ms is None:
        return "for ever"
    ahead = due_ms - now_ms
    return f"{moment(due_ms)} UTC ({'in ' + age(ahead) if ahead >= 0 else 'due'})"


async def find_waits(store: StoreFile, *, type: str | None, limit: int) -> list[dict[str, Any]]:
    """The waits, in the order in which their events came."""
    from onstage.events.receipt import Status

    rows: list[dict[str, Any]] = []
    after = 0
    while page := await store.reader.executions(statuses=[Status.WAITING], after=after, limit=PAGE):
        after = page[-1].id
        for view in page:
            if not view.waits or (type is not None and type not in view.waits):
                continue
            process = await store.reader.process(view.process)
            rows.append(
                {
                    "execution": view.id,
                    "handler": view.handler,
                    "process": "" if process is None else process.wire_id,
                    "key": None if process is None else process.key,
                    "for": view.waits,
                    "until": instant(view.due),
                    "due_ms": view.due,
                }
            )
            if len(rows) == limit:
                return rows
    return rows
