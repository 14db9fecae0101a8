"""`onstage undo`: have undone what a process did, or see what that would be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, app_option, bulk_options, surroundings
from onstage.cli.printing import clean, plural, print_json, print_table
from onstage.cli.process_filters import act_on_all, is_filtered, process_filters

if TYPE_CHECKING:
    from onstage.ports.store import ProcessView
    from onstage.runtime.wave_plan import PlannedUndo

__all__ = ["command", "show_plan"]


@click.command("undo", short_help="Undo what a process did, in every service.")
@click.argument("which", metavar="[KEY]", required=False)
@process_filters
@bulk_options
@app_option
@surroundings
def command(at: Surroundings, *, which: str | None, dry_run: bool, yes: bool, **filters: Any) -> int:
    """Have undone what the newest process with this business KEY, or the one with this public id, did; or all that fit.

    It must have ended; `onstage cancel` is for what is under way. Each step with an undo is undone once, after
    everything that it caused; those of one round at the same time. Decided means durable: `onstage show KEY` tells how
    far it is. Exit code 1 with --dry-run if nothing would be undone.

    With filters in place of a KEY, those of `onstage ps`, every process that they mean and that has ended is undone;
    --dry-run lists them.
    """
    if which is None:
        if not is_filtered(filters):
            raise click.UsageError("give a KEY, or a filter such as --type or --since")
        return act_on_all(at, "undo", lambda view: view.ended is not None, filters, dry_run=dry_run, yes=yes)
    if is_filtered(filters):
        raise click.UsageError("give a KEY, or filters, not both")
    if dry_run:
        return show_plan(at, which)
    view, plan = asyncio.run(_plan(at, which))
    if not yes and not at.is_json:
        _show(at, view, plan)
        click.confirm("undo this?", abort=True)
    told = asyncio.run(_undo(at, view.wire_id))
    if at.is_json:
        print_json({"process": view.wire_id, "action": "undo", "told": told})
    else:
        click.echo(clean(told))
    return Exit.OK


def show_plan(at: Surroundings, which: str) -> int:
    """Tell what undoing this process would undo, and in which order; the exit code is 1 if that is nothing."""
    return _show(at, *asyncio.run(_plan(at, which)))


def _show(at: Surroundings, view: ProcessView, plan: list[PlannedUndo]) -> int:
    if at.is_json:
        undos = [each._asdict() for each in plan]
        print_json({"process": view.wire_id, "rounds": max((each.round for each in plan), default=0), "undos": undos})
        return Exit.OK if plan else Exit.FOUND
    if plan:
        lines = [[str(each.round), each.handler, each.step, "in doubt" if each.in_doubt else ""] for each in plan]
        print_table(["ROUND", "HANDLER", "STEP", ""], lines)
    click.echo(f"{plural(len(plan), 'step')} of process {view.wire_id} would be undone")
    return Exit.OK if plan else Exit.FOUND


async def _plan(at: Surroundings, key: str) -> tuple[ProcessView, list[PlannedUndo]]:
    from onstage.reading.process_rows import find_process
    from onstage.reading.store_file import looking_at
    from onstage.runtime.wave_plan import plan_of

    with looking_at(at.path()) as store, store.snapshot():
        view = await find_process(store, key)
        return view, await plan_of(store.reader, view.id)


async def _undo(at: Surroundings, process: str) -> str:
    from onstage.app import connect
    from onstage.cli.node_access import person

    async with connect(at.store, at.app()) as client:
        return await client.control("undo", process, by=person())
