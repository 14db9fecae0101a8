"""`onstage start`: start a workflow with an input from the arguments."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.ask_request import answered, duration_s, nobody_runs
from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, note, print_json

if TYPE_CHECKING:
    from onstage.app import App
    from onstage.contracts.handler import Handler

__all__ = ["command", "workflow_named"]


@click.command("start", short_help="Start a workflow.")
@click.argument("name")
@click.argument("data", metavar="JSON")
@click.option("--id", help="The start's id; the same id and input twice is the same execution.")
@click.option("--wait", is_flag=False, flag_value="60s", metavar="[TIMEOUT]", help="Wait for the result. [60s]")
@app_option
@surroundings
def command(at: Surroundings, *, name: str, data: str, id: str | None, wait: str | None) -> int:
    """Start the workflow NAME (service.workflow) with a JSON input. Started means durable.

    With --wait the result is printed as JSON; exit code 1 if it failed, or there is none in time.
    """
    timeout_s = None if wait is None else duration_s(wait, "--wait")
    return asyncio.run(_start(at, name, data, id, timeout_s))


def workflow_named(app: App, name: str) -> Handler[Any, Any]:
    """The workflow of the app with this full name. Raises Failure if there is none."""
    known = {each.full_name: each for service in app.services for each in service.handlers}
    workflows = sorted(name for name, each in known.items() if each.responding and each.responding.is_workflow)
    if name in workflows:
        return known[name]
    mend = f"use one of {', '.join(workflows)}" if workflows else "declare one with @service.workflow"
    raise Failure(f"there is no workflow {clean(name)}", "the app does not declare it", mend, code=Exit.USAGE)


async def _start(at: Surroundings, name: str, data: str, id: str | None, timeout_s: float | None) -> int:
    from onstage.app import connect
    from onstage.events.answer import START_SOURCE
    from onstage.ports.clock import SystemClock

    app = at.app()
    workflow = workflow_named(app, name)
    known, named = workflow.triggers[0], id or SystemClock().token(16).hex()
    async with connect(at.store, app) as client:
        if timeout_s is not None and not client.has_node:
            raise nobody_runs(at)
        source = f"{START_SOURCE}/{workflow.full_name}"
        event = await client.begin(known.name, data.encode(), id=named, source=source, key=id)
        if timeout_s is not None:
            return await answered(client, known.name, event, timeout_s)
        if at.is_json:
            print_json({"workflow": name, "id": named, "process": event})
        else:
            click.echo(f"started {clean(name)} with id {clean(named)} as process {event}")
        if not client.has_node:
            note("no node runs on this store: it waits for `onstage run`")
    return Exit.OK
