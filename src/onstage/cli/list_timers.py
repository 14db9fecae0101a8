"""`onstage timers`: what is due next, from the rows that a node derives its timers from."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import age, instant, moment, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.cli.store_file import StoreFile
    from onstage.ports.store import ExecutionView

__all__ = ["command", "find_timers"]


@click.command("timers", short_help="List what is due next.")
@limit_option(20)
@surroundings
def command(at: Surroundings, *, limit: int) -> None:
    """List timers, the next first: ends of sleeps, time limits of waits, and retries."""
    from onstage.cli.store_file import lock_holder, looking_at
    from onstage.ports.clock import SystemClock

    now = SystemClock().now_ms()
    with looking_at(at.path()) as store, store.snapshot():
        rows = asyncio.run(find_timers(store, limit))
    if at.is_json:
        print_json(rows)
        return
    if rows:
        lines = [[f"{moment(r['due_ms'])} UTC", _ahead(r["due_ms"] - now), *_of(r)] for r in rows]
        print_table(["DUE", "IN", "KEY", "HANDLER", "WHAT"], lines)
    note(f"{plural(len(rows), 'timer')} shown")
    if rows and rows[0]["due_ms"] < now and lock_holder(at.path()) is None:
        note("no node runs on this store: what is due fires with `onstage run`")


def _of(row: dict[str, Any]) -> list[str]:
    return [row["key"] or row["process"], row["handler"], row["what"]]


def _ahead(ms: int) -> str:
    return age(ms) if ms >= 0 else f"due since {age(-ms)}"


async def find_timers(store: StoreFile, limit: int) -> list[dict[str, Any]]:
    """The timers, the next first."""
    rows = []
    for view in await store.timers(limit=limit):
        process = await store.reader.process(view.process)
        rows.append(
            {
                "due": instant(view.due),
                "due_ms": view.due,
                "execution": view.id,
                "handler": view.handler,
                "process": "" if process is None else process.wire_id,
                "key": None if process is None else process.key,
                "what": _what(view),
            }
        )
    return rows


def _what(view: ExecutionView) -> str:
    from onstage.events.receipt import Status

    if view.status == Status.RETRYING:
        return f"retry: {(view.error or '').partition(chr(10))[0]}".rstrip(": ")
    if view.waits:
        return f"gives up waiting for {' or '.join(view.waits)}"
    return "wakes from its sleep, or gives up on a completion from outside"
