"""`onstage skip`: a step that is stuck counts as done, with a result that somebody gives."""

from __future__ import annotations

import asyncio

import click
import msgspec

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, print_json

__all__ = ["command"]


@click.command("skip", short_help="Let a stuck step, or an undo, count as done.")
@click.argument("which", metavar="NUMBER|KEY")
@click.argument("step")
@click.option("--result", metavar="JSON", help="What the step came to; an undo has no result.")
@app_option
@surroundings
def command(at: Surroundings, *, which: str, step: str, result: str | None) -> int:
    """Let a STEP that is stuck count as done with this result, and its execution go on.

    It is that of the execution with this NUMBER, or of the newest process with this KEY or public id, and it is a dead
    letter or waits for its next attempt. STEP is its name, such as charge, or its position, such as charge#1. Of a
    process that is undone it is the undo of the step that counts as done, or, with --result and nobody knowing what the
    step came to, the step itself. Said means durable; saying the same twice is well.
    """
    if result is not None:
        try:
            msgspec.json.decode(result)
        except ValueError as wrong:
            raise click.UsageError(f"the result is no JSON: {wrong}") from wrong
    execution, told = asyncio.run(_skip(at, which, step, None if result is None else result.encode()))
    if at.is_json:
        print_json({"which": which, "action": "skip", "execution": execution, "step": step, "told": told})
    else:
        click.echo(clean(told))
    return Exit.OK


async def _skip(at: Surroundings, which: str, step: str, data: bytes | None) -> tuple[int, str]:
    from onstage.app import connect
    from onstage.cli.node_access import person
    from onstage.reading.process_rows import find_process
    from onstage.reading.store_file import looking_at
    from onstage.runtime.skipping import execution_with

    if which.isdigit():
        execution = int(which)
    else:
        with looking_at(at.path()) as store, store.snapshot():
            view = await find_process(store, which)
            execution = await execution_with(store.reader, view.id, step)
    async with connect(at.store, at.app()) as client:
        return execution, await client.skip(execution, step, data, by=person())
