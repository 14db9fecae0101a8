"""`onstage versions`: on which version of its handler's code each open execution last ran."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.options import Surroundings, surroundings
from onstage.cli.printing import age, instant, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.reading.store_file import StoreFile

__all__ = ["census", "command"]


@click.command("versions", short_help="Which code open executions run on.")
@click.option("--handler", metavar="SERVICE.HANDLER", help="Only of this handler.")
@surroundings
def command(at: Surroundings, *, handler: str | None) -> None:
    """Count open executions by handler and the fingerprint of the code that each last ran on.

    "present" is the code that the newest node declared. `onstage replay` says whether the others still fit it.
    """
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        rows = [row for row in asyncio.run(census(store)) if handler in (None, row["handler"])]
    if at.is_json:
        print_json(rows)
        return
    now = SystemClock().now_ms()
    if rows:
        lines = [[r["handler"], r["code"] or "-", r["is"], f"{r['open']:,}", _since(r, now)] for r in rows]
        print_table(["HANDLER", "CODE", "IS", "OPEN", "OLDEST"], lines)
    older = sum(row["open"] for row in rows if row["is"] in ("older", "gone"))
    note(f"{plural(sum(row['open'] for row in rows), 'open execution')}, {older:,} not on the present code")


def _since(row: dict[str, Any], now_ms: int) -> str:
    return "" if row["oldest_ms"] is None else age(now_ms - row["oldest_ms"])


async def census(store: StoreFile) -> list[dict[str, Any]]:
    """One row for each handler and code: how many executions are open on it, since when, and what code that is.

    It is `present`, `older`, `gone` (nobody declares the handler), or `not begun`.
    """
    from onstage.contracts.manifest import from_stored

    declared = {each.name: each.code for each in from_stored(await store.reader.manifest()).handlers}
    rows = []
    for handler, code, count, oldest in store.rows("census"):
        name = handler.partition("@")[0]
        rows.append(
            {
                "handler": handler,
                "code": f"{code:08x}" if code else None,
                "is": _is(declared.get(name), code),
                "open": count,
                "oldest": instant(oldest),
                "oldest_ms": oldest,
            }
        )
    return rows


def _is(present: int | None, code: int) -> str:
    if present is None:
        return "gone"
    if not code:
        return "not begun"
    return "present" if code == present else "older"
