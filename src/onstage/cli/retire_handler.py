"""`onstage retire`: write off what a handler left open that is gone from the code."""

from __future__ import annotations

import asyncio

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, app_option, bulk_options, confirmed, surroundings
from onstage.cli.printing import clean, plural, print_json

__all__ = ["command"]


@click.command("retire", short_help="Write off what a handler left open that is gone.")
@click.argument("handler", metavar="SERVICE[.HANDLER]")
@app_option
@bulk_options
@surroundings
def command(at: Surroundings, *, handler: str, dry_run: bool, yes: bool) -> int:
    """Write off what a handler left open that is gone from the app.

    Processes that were stuck because no node has the handler go on, or end; whoever asked it gets a failure. SERVICE
    alone retires all handlers of a service that is gone. It is kept in the store that it was
    retired. Refused while the app still declares the handler.
    """
    return asyncio.run(_retire(at, handler, dry_run=dry_run, yes=yes))


async def _retire(at: Surroundings, handler: str, *, dry_run: bool, yes: bool) -> int:
    from onstage.cli.node_access import acting

    async with acting(at, None) as node:
        told = await node.manage("retire", handler, {"dry_run": 1})
        what = f"{plural(int(told['obligations']), 'obligation')} in {plural(int(told['processes']), 'process')}"
        if not dry_run:
            if not confirmed(f"write off {what} of {handler}?", yes=yes):
                return Exit.FOUND
            told = await node.manage("retire", handler, {})
    if at.is_json:
        print_json(told | {"dry_run": dry_run})
    elif dry_run:
        click.echo(f"would write off {what} of {clean(handler)}; nothing was done")
    else:
        click.echo(f"{clean(handler)} is retired: {what} written off")
    return Exit.OK
