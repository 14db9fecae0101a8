"""`onstage resolve`: what could not be undone was mended by hand."""

from __future__ import annotations

import asyncio

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, print_json

__all__ = ["command"]


@click.command("resolve", short_help="Say that the residue of an undone process was mended by hand.")
@click.argument("key")
@click.option("--note", metavar="TEXT", help="How, for whoever looks at the process later.")
@app_option
@surroundings
def command(at: Surroundings, *, key: str, note: str | None) -> int:
    """Say that what could not be undone of the process with this KEY or public id was mended by hand.

    Its verdict is *compensated* from then on, and says when, by whom and how. Said means durable; twice is well.
    """
    process, told = asyncio.run(_resolve(at, key, note))
    if at.is_json:
        print_json({"process": process, "action": "resolve", "told": told})
    else:
        click.echo(clean(told))
    return Exit.OK


async def _resolve(at: Surroundings, key: str, note: str | None) -> tuple[str, str]:
    from onstage.app import connect
    from onstage.cli.node_access import person
    from onstage.reading.process_rows import find_process
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store:
        process = (await find_process(store, key)).wire_id
    async with connect(at.store, at.app()) as client:
        return process, await client.control("resolve", process, by=person(), note=note)
