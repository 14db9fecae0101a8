"""`onstage restart`: start a workflow again, with the input it had, from its beginning or from one of its steps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, note, print_json

if TYPE_CHECKING:
    from onstage.ports.store import EventView

__all__ = ["command"]


@click.command("restart", short_help="Start a workflow again, with the input it had.")
@click.argument("key")
@click.option("--id", help="The id of the new start; the same id twice starts one.")
@click.option("--from", "step", metavar="STEP", help='Take over all before this call ("end": all that has ended).')
@app_option
@surroundings
def command(at: Surroundings, *, key: str, id: str | None, step: str | None) -> int:
    """Start the workflow that was started under KEY, or public id, as a new execution with the same input.

    The old one stays as it is: cancel it first if it still runs. With --from it must have ended or be a dead letter;
    what it recorded before that call is taken over and not done again. `onstage show KEY` lists its calls.
    """
    return asyncio.run(_restart(at, key, id) if step is None else _fork(at, key, step, id))


async def _fork(at: Surroundings, key: str, step: str, id: str | None) -> int:
    from onstage.app import connect
    from onstage.events.answer import START_PREFIX
    from onstage.ports.clock import SystemClock

    started = await _start_of(at, key)
    workflow = started.type.removeprefix(START_PREFIX)
    named = id or SystemClock().token(16).hex()
    async with connect(at.store, at.app()) as client:
        event = await client.forked((await client.process(key)).id, step, named)
        alone = not client.has_node
    if at.is_json:
        print_json({"workflow": workflow, "id": named, "process": event, "from": step})
    else:
        click.echo(f"forked {clean(workflow)} from {clean(step)} with id {clean(named)} as process {event}")
    if alone:
        note("no node runs on this store: it waits for `onstage run`")
    return Exit.OK


async def _restart(at: Surroundings, key: str, id: str | None) -> int:
    from onstage.app import connect
    from onstage.events.answer import START_PREFIX, START_SOURCE
    from onstage.ports.clock import SystemClock

    started = await _start_of(at, key)
    workflow = started.type.removeprefix(START_PREFIX)
    named = id or SystemClock().token(16).hex()
    async with connect(at.store, at.app()) as client:
        source = f"{START_SOURCE}/{workflow}"
        event = await client.begin(started.type, started.data, id=named, source=source, key=started.key)
        alone = not client.has_node
    if at.is_json:
        print_json({"workflow": workflow, "id": named, "process": event})
    else:
        click.echo(f"started {clean(workflow)} again with id {clean(named)} as process {event}")
    if alone:
        note("no node runs on this store: it waits for `onstage run`")
    return Exit.OK


async def _start_of(at: Surroundings, key: str) -> EventView:
    from onstage.events.answer import START_PREFIX
    from onstage.reading.process_rows import find_process
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store:
        view = await find_process(store, key)
        root = await store.reader.event(view.id)
    if root is None or not root.type.startswith(START_PREFIX):
        raise Failure(
            f"{clean(key)} is no workflow that was started from outside",
            f"its first event is {root.type if root else 'not here'}",
            "emit that event again, with a new id",
            code=Exit.USAGE,
        )
    return root
