"""`onstage complete`: complete a step from outside by its token."""

from __future__ import annotations

import asyncio

import click
import msgspec

from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, print_json

__all__ = ["command"]


@click.command("complete", short_help="Complete a step from outside by its token.")
@click.argument("token")
@click.argument("result", metavar="[JSON]", default="null")
@click.option("--fail", "error", metavar="TEXT", help="Let its attempt fail instead, for this reason.")
@app_option
@surroundings
def command(at: Surroundings, *, token: str, result: str, error: str | None) -> None:
    """Complete the step that was given this TOKEN, with its result as JSON. Saying the same twice is well."""
    if error is not None and result != "null":
        raise click.UsageError("give a result, or --fail TEXT")
    try:
        msgspec.json.decode(result)
    except ValueError as wrong:
        raise click.UsageError(f"the result is no JSON: {wrong}") from wrong
    data = result.encode() if error is None else None
    done = asyncio.run(_tell(at, token, data, error))
    if at.is_json:
        print_json({"done": done})
    else:
        click.echo(clean(done))


async def _tell(at: Surroundings, token: str, data: bytes | None, error: str | None) -> str:
    from onstage.cli.node_access import acting

    async with acting(at, None) as node:
        return await node.complete(token, data, error, None)
