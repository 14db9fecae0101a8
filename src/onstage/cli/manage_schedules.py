"""`onstage schedules`: what runs by the clock, when next, what was left out; pause, resume and backfill."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from onstage.cli.options import Surroundings, app_option, moment_ms, surroundings
from onstage.cli.printing import age, clean, instant, moment, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.core.planned_run import ScheduleRow
    from onstage.reading.store_file import StoreFile

__all__ = ["command", "find_schedules"]


@click.group("schedules", short_help="Schedules: list, pause, resume or backfill them.")
def command() -> None:
    """What runs by the clock. NAME is SERVICE.HANDLER."""


@command.command("ls")
@surroundings
def list_schedules(at: Surroundings) -> None:
    """List schedules with their next run, read from the row that fires, and how many were left out."""
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store:
        rows = asyncio.run(find_schedules(store))
    if at.is_json:
        print_json(rows)
        return
    now = SystemClock().now_ms()
    if rows:
        lines = [[clean(r["schedule"]), clean(r["plan"]), _next(r, now), _moment(r["last_ms"]), _of(r)] for r in rows]
        print_table(["SCHEDULE", "PLAN", "NEXT", "LAST", "RUNS"], lines)
    note(f"{plural(len(rows), 'schedule')} shown")


def _next(row: dict[str, Any], now: int) -> str:
    if row["status"] != "on":
        return str(row["status"])
    ahead = row["due_ms"] - now
    return f"{_moment(row['due_ms'])} ({'in ' + age(ahead) if ahead >= 0 else 'due'})"


def _moment(ms: int | None) -> str:
    return "-" if ms is None else f"{moment(ms)} UTC"


def _of(row: dict[str, Any]) -> str:
    left_out = f", {row['skipped']} left out: {row['skipped_why']}" if row["skipped"] else ""
    return f"{row['runs']}{left_out}"


async def find_schedules(store: StoreFile) -> list[dict[str, Any]]:
    """The schedules, in the order of their names."""
    from onstage.core.planned_run import SCHEDULES, decode_row

    notes = await store.reader.notes(SCHEDULES, limit=10_000)
    return [_described(row) for row in sorted((decode_row(each.body) for each in notes), key=lambda row: row.name)]


def _described(row: ScheduleRow) -> dict[str, Any]:
    return {
        "schedule": row.name,
        "plan": row.said,
        "status": "removed" if row.gone else "paused" if row.paused else "on",
        "due": None if row.gone or row.paused else instant(row.due),
        "due_ms": row.due,
        "last": instant(row.last),
        "last_ms": row.last,
        "runs": row.runs,
        "skipped": row.skipped,
        "skipped_last": instant(row.skipped_last),
        "skipped_why": row.skipped_why,
    }


@command.command("pause")
@click.argument("name")
@app_option
@surroundings
def pause(at: Surroundings, *, name: str) -> None:
    """Emit no more runs of this schedule until it is resumed, across restarts."""
    _act(at, "pause", name)


@command.command("resume")
@click.argument("name")
@app_option
@surroundings
def resume(at: Surroundings, *, name: str) -> None:
    """Go on with the next planned run; those of the pause are left out, and can be backfilled."""
    _act(at, "resume", name)


@command.command("backfill")
@click.argument("name")
@click.option("--from", "first", required=True, metavar="TIME", help='From "2026-05-01T08:00" (UTC), or "3h" ago.')
@click.option("--to", "last", metavar="TIME", help="Up to then, likewise; up to now without it.")
@app_option
@surroundings
def backfill(at: Surroundings, *, name: str, first: str, last: str | None) -> None:
    """Emit the planned runs of a range of the past that have none yet."""
    _act(at, "backfill", name, (moment_ms("--from", first), moment_ms("--to", last or "0s")))


_NO_RANGE: Final = (None, None)


def _act(at: Surroundings, action: str, name: str, ends: tuple[int | None, int | None] = _NO_RANGE) -> None:
    from onstage.cli.node_access import acting

    async def act() -> str:
        async with acting(at) as ways:
            return await ways.schedule(action, name, *ends)

    told = asyncio.run(act())
    if at.is_json:
        print_json({"schedule": name, "action": action, "done": told})
    else:
        click.echo(clean(told))
