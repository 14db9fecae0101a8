"""`onstage show`: one process, found by its business key or public id, as a causal tree with its verdict."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import age, clean, instant, moment, note, print_json, styled

if TYPE_CHECKING:
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import ProcessView
    from onstage.reading.causal_tree import EventNode
    from onstage.reading.milestones import Timed
    from onstage.reading.store_file import StoreFile

__all__ = ["command"]

PAUSE_S: Final = 0.3
GENERATIONS_MAX: Final = 20
STATES_MAX: Final = 20
PAGE: Final = 1000


class Page(NamedTuple):
    """Which part of the tree is shown: so many events after this number."""

    after: int = 0
    limit: int = PAGE


@click.command("show", short_help="Show one process: everything that happened, as a tree.")
@click.argument("key")
@click.option("-f", "--follow", is_flag=True, help="Show it again whenever something happens, until it ends.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="NUMBER", help="Begin after this event.")
@limit_option(PAGE)
@surroundings
def command(at: Surroundings, *, key: str, follow: bool, after: int, limit: int) -> int:
    """Show the newest process with this business KEY, or the one with this public id.

    A large process is shown in pages: so many events, then the number to go on --after. What was caused by an event of
    an earlier page stands by itself. Exit code 1 if it is stuck.
    """
    page = Page(after, limit)
    return asyncio.run(_follow(at, key, page) if follow else _once(at, key, page))


async def _once(at: Surroundings, key: str, page: Page) -> int:
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store:
        verdict = await _show(store, key, page, is_json=at.is_json)
    return Exit.FOUND if verdict.status == "stuck" else Exit.OK


async def _follow(at: Surroundings, key: str, page: Page) -> int:
    from onstage.reading.store_file import looking_at

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
            verdict = await _show(store, key, page, is_json=at.is_json)
    return Exit.OK


async def _show(store: StoreFile, key: str, page: Page, *, is_json: bool) -> Verdict:
    from onstage.cli.list_state import find_states, state_line
    from onstage.reading.causal_tree import grow
    from onstage.reading.milestones import find_timed
    from onstage.reading.process_rows import find_process
    from onstage.reading.store_file import standing, verdict_from
    from onstage.reading.ui_address import process_link
    from onstage.reading.why_open import explained

    with store.snapshot():
        view = await find_process(store, key)
        verdict = await verdict_from(store, view.id)
        assert verdict is not None, "the process was just found"
        verdict = await explained(store, view.id, verdict)
        roots, following = await grow(store.reader, view.id, after=page.after, limit=page.limit)
        states = [] if view.key is None else await find_states(store, key=view.key, limit=STATES_MAX)
        timed = await find_timed(store, view.id)
        is_view, standing_note = store.kind == "view", standing(store)
        others = await store.reader.processes(key=view.key, limit=GENERATIONS_MAX) if view.key is not None else []
    if is_json:
        generations = [_generation(each) for each in reversed(others)]
        more = {"timed": timed, "states": states, "next": following, "generations": generations}
        print_json(_as_json(view, verdict, roots) | more)
        return verdict
    _draw(view, verdict, roots, timed, is_view=is_view)
    if following is not None:
        note(f"there is more: onstage show {clean(key)} --after {following}")
    for row in states:
        click.echo(state_line(row))
    if standing_note:
        note(f"\n{standing_note}")
    link = process_link(store.path, view.wire_id)
    if link is not None:
        note(f"\nsee it: {link}")
    if len(others) > 1:
        ids = ", ".join(other.wire_id for other in others if other.id != view.id)
        place = len(others) - [other.id for other in others].index(view.id) if view in others else 0
        which = f"generation {place} of {len(others)} of this key" if place and len(others) < GENERATIONS_MAX else ""
        note(f"\n{which or 'one of many of this key'}; the others: {clean(ids)}")
    return verdict


def _generation(view: ProcessView) -> dict[str, Any]:
    """One process of a key, as it is listed beside the others; the oldest comes first."""
    times = {"started": instant(view.started), "ended": instant(view.ended)}
    return {"process": view.wire_id, "declared": view.declared, "outcome": view.outcome, "open": view.open} | times


def _as_json(view: ProcessView, verdict: Verdict, roots: list[EventNode]) -> dict[str, Any]:
    head = {"process": view.wire_id, "key": view.key, "declared": view.declared, "open": view.open}
    times = {"started": instant(view.started), "ended": instant(view.ended)}
    return head | times | {"verdict": verdict, "events": roots}


def _draw(view: ProcessView, verdict: Verdict, roots: list[EventNode], timed: list[Timed], *, is_view: bool) -> None:
    from onstage.cli.draw_tree import lines
    from onstage.cli.milestone_lines import timed_lines
    from onstage.ports.clock import SystemClock

    now = SystemClock().now_ms()
    span = f", took {age(view.ended - view.started)}" if view.ended is not None and not view.open else ""
    began = f"began {moment(view.started)} UTC ({age(now - view.started)} ago){span}"
    click.echo(f"{clean(view.declared or 'process')} {clean(view.key or view.wire_id)}   {began}   id {view.wire_id}")
    outcome = f" ({clean(verdict.outcome)})" if verdict.outcome else ""
    click.echo(f"{styled(verdict.status)}{outcome}")
    for reason in verdict.reasons:
        click.echo(f"  {clean(reason)}")
    for line in timed_lines(timed, now):
        click.echo(line)
    click.echo()
    for line in lines(roots, now, is_view=is_view):
        click.echo(line)
