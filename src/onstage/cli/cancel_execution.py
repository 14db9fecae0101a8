"""`onstage cancel`: cancel or terminate one execution, or cancel a process."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, app_option, bulk_options, surroundings
from onstage.cli.printing import clean, print_json
from onstage.cli.process_filters import act_on_all, is_filtered, process_filters
from onstage.cli.undo_process import show_plan

__all__ = ["command"]


@click.command("cancel", short_help="Cancel an execution or a process: what was done is undone.")
@click.argument("which", metavar="[NUMBER|KEY]", required=False)
@click.option("--terminate", is_flag=True, help="End it at once: nothing is undone.")
@process_filters
@bulk_options
@app_option
@surroundings
def command(at: Surroundings, *, which: str | None, terminate: bool, dry_run: bool, yes: bool, **filters: Any) -> int:
    """Cancel one execution by its NUMBER, the workflow or process that has this KEY or public id, or all that fit.

    Its next durable call raises Cancelled; then finished steps are undone, and its children are cancelled as well. What
    has not begun, or is a dead letter, ends without running. Of a process that is no workflow everything stops, and
    what it did is undone in every service. Cancelled means durable.

    With filters in place of a KEY, those of `onstage ps`, every process under way that they mean is cancelled;
    --dry-run lists them. With a KEY, --dry-run shows what would be undone.
    """
    action = "terminate" if terminate else "cancel"
    if which is None:
        if not is_filtered(filters):
            raise click.UsageError("give a NUMBER or a KEY, or a filter such as --type or --stuck")
        return act_on_all(at, action, lambda view: view.ended is None, filters, dry_run=dry_run, yes=yes)
    if is_filtered(filters):
        raise click.UsageError("give a NUMBER or a KEY, or filters, not both")
    if dry_run:
        return show_plan(at, which)
    told = asyncio.run(_cancel(at, which, action))
    if at.is_json:
        print_json({"which": which, "action": action, "told": told})
    else:
        click.echo(clean(told))
    return Exit.OK


async def _cancel(at: Surroundings, which: str, action: str) -> str:
    from onstage.app import connect
    from onstage.cli.node_access import person
    from onstage.reading.process_rows import find_process
    from onstage.reading.store_file import looking_at

    if which.isdigit():
        async with connect(at.store, at.app()) as client:
            return await client.operate(action, int(which), by=person())
    with looking_at(at.path()) as store:
        event = (await find_process(store, which)).wire_id
    async with connect(at.store, at.app()) as client:
        return await client.control(action, event, by=person())
