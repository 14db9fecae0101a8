"""`onstage cancel`: cancel or terminate one execution."""

from __future__ import annotations

import asyncio

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, print_json

__all__ = ["command"]


@click.command("cancel", short_help="Cancel one execution: its steps are undone.")
@click.argument("which", metavar="NUMBER|KEY")
@click.option("--terminate", is_flag=True, help="End it at once: nothing is undone.")
@app_option
@surroundings
def command(at: Surroundings, *, which: str, terminate: bool) -> int:
    """Cancel one execution by its NUMBER, or the workflow that was started under this KEY or public id.

    Its next durable call raises Cancelled; then finished steps are undone, and its children are cancelled as well. What
    has not begun, or is a dead letter, ends without running. Cancelled means durable.
    """
    told = asyncio.run(_cancel(at, which, "terminate" if terminate else "cancel"))
    if at.is_json:
        print_json({"which": which, "action": "terminate" if terminate else "cancel", "told": told})
    else:
        click.echo(clean(told))
    return Exit.OK


async def _cancel(at: Surroundings, which: str, action: str) -> str:
    from onstage.app import connect
    from onstage.cli.show_process import find_process
    from onstage.cli.store_file import looking_at

    if which.isdigit():
        async with connect(at.store, at.app()) as client:
            return await client.operate(action, int(which))
    with looking_at(at.path()) as store:
        event = (await find_process(store, which)).wire_id
    async with connect(at.store, at.app()) as client:
        return await client.control(action, event)
