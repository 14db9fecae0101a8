"""`onstage timers`: what is due next, from the rows that a node derives its timers from."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.options import Surroundings, app_option, limit_option, surroundings
from onstage.cli.printing import age, instant, moment, note, plural, print_json, print_table

if TYPE_CHECKING:
    from onstage.ports.store import ExecutionView
    from onstage.reading.store_file import StoreFile

__all__ = ["command", "find_timers"]


@click.group("timers", short_help="List what is due next.", invoke_without_command=True)
@limit_option(20)
@surroundings
def command(at: Surroundings, *, limit: int) -> None:
    """List timers, the next first: ends of sleeps, time limits of waits, retries, delayed events, runs of schedules."""
    if click.get_current_context().invoked_subcommand is None:
        _list(at, limit)


@command.command("cancel")
@click.argument("number", type=int)
@app_option
@surroundings
def cancel(at: Surroundings, *, number: int) -> None:
    """Cancel a delayed event by the NUMBER that the list gives: it is never emitted."""
    from onstage.cli.node_access import acting

    async def call_off() -> str:
        async with acting(at) as ways:
            return await ways.operate("cancel", number)

    told = asyncio.run(call_off())
    if at.is_json:
        print_json({"execution": number, "cancelled": True})
    else:
        click.echo(told)


def _list(at: Surroundings, limit: int) -> None:
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import lock_holder, looking_at

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
    """The timers, the next first; the next run of a schedule is read from the row that fires."""
    from onstage.cli.manage_schedules import find_schedules

    rows = []
    for each in await find_schedules(store):
        if each["status"] == "on":
            due = {"due": each["due"], "due_ms": each["due_ms"], "execution": None, "process": "", "key": ""}
            rows.append(due | {"handler": each["schedule"], "what": f"next run of {each['plan']}"})
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
                "what": await _what(store, view),
            }
        )
    return sorted(rows, key=lambda row: row["due_ms"])[:limit]


async def _what(store: StoreFile, view: ExecutionView) -> str:
    from onstage.core.commit import event_of
    from onstage.events.receipt import Status
    from onstage.runtime.watch import kept_type

    if view.status == Status.READY:
        event = await store.reader.event(event_of(view.id))
        kept = None if event is None else kept_type(event)
        return f"{kept or 'a delayed event'} comes (`onstage timers cancel {view.id}`)"
    if view.status == Status.RETRYING:
        return f"retry: {(view.error or '').partition(chr(10))[0]}".rstrip(": ")
    if view.waits:
        return f"gives up waiting for {' or '.join(view.waits)}"
    return "wakes from its sleep, or gives up on a completion from outside"
