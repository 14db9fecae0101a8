"""`onstage pause`: let a handler or a service begin nothing, until `onstage resume`."""

from __future__ import annotations

import asyncio

import click

from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, print_json

__all__ = ["command", "set_pause"]


@click.command("pause", short_help="Let a handler or a service begin nothing.")
@click.argument("name", metavar="SERVICE[.HANDLER]")
@click.option("--why", help="What `onstage services` and `onstage ps` say about it.")
@app_option
@surroundings
def command(at: Surroundings, *, name: str, why: str | None) -> None:
    """Pause a handler (payment.charge) or a whole service (payment).

    What runs goes on; what is new, due or woken queues. It survives restarts. `onstage resume` ends it.
    """
    asyncio.run(set_pause(at, name, paused=True, why=why))


async def set_pause(at: Surroundings, name: str, *, paused: bool, why: str | None = None) -> None:
    """Pause or resume through the running node, or in the store while none runs, and say what was done."""
    from onstage.cli.node_access import acting, person

    by = person()
    async with acting(at, "it holds from the next `onstage run` on") as node:
        told = await node.set_pause(name, paused=paused, by=by, why=why)
    if at.is_json:
        print_json({"name": name, "paused": paused, "by": by, "told": told})
    else:
        click.echo(clean(told))
