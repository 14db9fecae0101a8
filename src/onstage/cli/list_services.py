"""`onstage services`: the handlers of each service, what is open at each, and what is paused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.options import Surroundings, surroundings
from onstage.cli.printing import age, instant, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.reading.store_file import StoreFile

__all__ = ["command", "find_services"]


@click.command("services", short_help="List services and handlers: what is open, what is paused.")
@surroundings
def command(at: Surroundings) -> None:
    """List services and their handlers: how much is open at each, and since when and by whom it is paused."""
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        rows = asyncio.run(find_services(store))
    if at.is_json:
        print_json(rows)
        return
    now = SystemClock().now_ms()
    if rows:
        lines = [
            [row["handler"], ", ".join(row["triggers"]), str(row["open"]), ", ".join(row["limits"]), _pause(row, now)]
            for row in rows
        ]
        print_table(["HANDLER", "ON", "OPEN", "LIMITS", "PAUSED"], lines)
    paused = sum(row["paused"] is not None for row in rows)
    note(f"{plural(len(rows), 'handler')} shown{f', {paused} paused (`onstage resume`)' if paused else ''}")


def _pause(row: dict[str, Any], now: int) -> str:
    pause = row["paused"]
    if pause is None:
        return ""
    why = f": {pause['why']}" if pause["why"] else ""
    return f"since {age(now - pause['ms'])} by {pause['by']}{why}"


async def find_services(store: StoreFile) -> list[dict[str, Any]]:
    """The handlers that the newest application declares, by name, each with its open executions and its pause."""
    from onstage.contracts.manifest import from_stored
    from onstage.runtime.pauses import pause_of, pauses_in

    paused = await pauses_in(store.reader)
    opened: dict[str, int] = dict(store.rows("open_handlers"))
    rows = []
    for handler in from_stored(await store.reader.manifest()).handlers:
        pause = pause_of(handler.name, paused)
        told = {"since": instant(pause.since), "ms": pause.since, "by": pause.by, "why": pause.why} if pause else None
        rows.append(
            {
                "service": handler.service,
                "handler": handler.name,
                "triggers": handler.triggers,
                "open": opened.get(handler.name, 0),
                "limits": handler.flow,
                "paused": told,
            }
        )
    return rows
