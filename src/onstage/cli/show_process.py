"""`onstage show`: one process, found by its business key or public id, as a causal tree with its verdict."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, surroundings
from onstage.cli.printing import age, clean, instant, moment, note, print_json, styled

if TYPE_CHECKING:
    from onstage.cli.causal_tree import EventNode
    from onstage.cli.store_file import StoreFile
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import ProcessView

__all__ = ["command", "find_process"]

PAUSE_S: Final = 0.3
GENERATIONS_MAX: Final = 20
STATES_MAX: Final = 20


@click.command("show", short_help="Show one process: everything that happened, as a tree.")
@click.argument("key")
@click.option("-f", "--follow", is_flag=True, help="Show it again whenever something happens, until it ends.")
@surroundings
def command(at: Surroundings, *, key: str, follow: bool) -> int:
    """Show the newest process with this business KEY, or the one with this public id.

    Exit code 1 if it is stuck.
    """
    return asyncio.run(_follow(at, key) if follow else _once(at, key))


async def _once(at: Surroundings, key: str) -> int:
    from onstage.cli.store_file import looking_at

    with looking_at(at.path()) as store:
        verdict = await _show(store, key, is_json=at.is_json)
    return Exit.FOUND if verdict.status == "stuck" else Exit.OK


async def _follow(at: Surroundings, key: str) -> int:
    from onstage.cli.store_file import looking_at

    with looking_at(at.path()) as store:
        version, verdict = -1, None
        while verdict is None or not verdict.is_final:
            present = int(store.connection.pragma("data_version"))
            if present == version:
                await asyncio.sleep(PAUSE_S)
                continue
            version = present
            if sys.stdout.isatty() and not at.is_json:
                click.clear()
            verdict = await _show(store, key, is_json=at.is_json)
    return Exit.OK


async def find_process(store: StoreFile, key: str) -> ProcessView:
    """The newest process with this key, or the one with this public id. Raises LookupError."""
    from onstage.core.identity import number_in
    from onstage.runtime.intake import process_known_as

    found = await store.reader.processes(key=key, limit=1)
    if found:
        return found[0]
    number = number_in(key)
    view = None if number is None else await store.reader.process(number)
    if view is not None and view.wire_id == key:
        return view
    number = await process_known_as(store.reader, key)
    if number is None and store.kind == "part":
        number = next((row[0] for row in store.rows("newest_with_key", key=key)), None)
    view = None if number is None else await store.reader.process(number)
    if view is None:
        raise LookupError(f"there is no process with key or id {clean(key)}")
    return view


async def _show(store: StoreFile, key: str, *, is_json: bool) -> Verdict:
    from onstage.cli.causal_tree import grow
    from onstage.cli.list_state import find_states, state_line
    from onstage.cli.store_file import standing, verdict_from

    with store.snapshot():
        view = await find_process(store, key)
        verdict = await verdict_from(store, view.id)
        assert verdict is not None, "the process was just found"
        roots = await grow(store.reader, view.id)
        states = [] if view.key is None else await find_states(store, key=view.key, limit=STATES_MAX)
        is_view, standing_note = store.kind == "view", standing(store)
        others = await store.reader.processes(key=view.key, limit=GENERATIONS_MAX) if view.key is not None else []
    if is_json:
        print_json(_as_json(view, verdict, roots) | {"states": states})
        return verdict
    _draw(view, verdict, roots, is_view=is_view)
    for row in states:
        click.echo(state_line(row))
    if standing_note:
        note(f"\n{standing_note}")
    if len(others) > 1:
        ids = ", ".join(other.wire_id for other in others if other.id != view.id)
        note(f"\nother processes with this key: {clean(ids)}")
    return verdict


def _as_json(view: ProcessView, verdict: Verdict, roots: list[EventNode]) -> dict[str, Any]:
    head = {"process": view.wire_id, "key": view.key, "declared": view.declared, "open": view.open}
    times = {"started": instant(view.started), "ended": instant(view.ended)}
    return head | times | {"verdict": verdict, "events": roots}


def _draw(view: ProcessView, verdict: Verdict, roots: list[EventNode], *, is_view: bool) -> None:
    from onstage.cli.causal_tree import EVENTS_MAX, lines
    from onstage.ports.clock import SystemClock

    now = SystemClock().now_ms()
    span = f", took {age(view.ended - view.started)}" if view.ended is not None and not view.open else ""
    began = f"began {moment(view.started)} UTC ({age(now - view.started)} ago){span}"
    click.echo(f"{clean(view.declared or 'process')} {clean(view.key or view.wire_id)}   {began}   id {view.wire_id}")
    outcome = f" ({clean(verdict.outcome)})" if verdict.outcome else ""
    click.echo(f"{styled(verdict.status)}{outcome}")
    for reason in verdict.reasons:
        click.echo(f"  {clean(reason)}")
    click.echo()
    count = 0
    for line in lines(roots, now, is_view=is_view):
        click.echo(line)
        count += 1
    if count >= EVENTS_MAX:
        note(f"only the first {EVENTS_MAX} events are shown")
