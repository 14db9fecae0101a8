"""`onstage ask`: one request from the arguments, and its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import note, print_json

if TYPE_CHECKING:
    from onstage.stage import Stage

__all__ = ["answered", "command", "duration_s"]


@click.command("ask", short_help="Ask a request, and print the answer.")
@click.argument("type")
@click.argument("data", metavar="JSON")
@click.option("--id", help="The request's id; the same id twice is the same request, with the same answer.")
@click.option("--timeout", default="60s", show_default=True, help="Wait so long for the answer.")
@app_option
@surroundings
def command(at: Surroundings, *, type: str, data: str, id: str | None, timeout: str) -> int:
    """Ask TYPE with a JSON payload, and print the answer as JSON.

    Exit code 1 if the answer is a no, or there is none in time: the request stays, and is answered later.
    """
    return asyncio.run(_ask(at, type, data, id, duration_s(timeout, "--timeout")))


async def _ask(at: Surroundings, type: str, data: str, id: str | None, timeout_s: float) -> int:
    from onstage.app import connect
    from onstage.cli.event_lines import check_event
    from onstage.contracts.validation import event_types
    from onstage.ports.clock import SystemClock

    app = at.app()
    check_event({known.name: known for known in event_types(app.services, app.processes)}, type, data.encode())
    async with connect(at.store, app) as client:
        if not client.has_node:
            raise nobody_runs(at)
        named = id or SystemClock().token(16).hex()
        event = await client.begin(type, data.encode(), id=named, timeout_s=timeout_s)
        return await answered(client, type, event, timeout_s)


async def answered(client: Stage, type: str, event: str, timeout_s: float) -> int:
    """Wait for the answer to this request and print it; answers the exit code."""
    import msgspec

    from onstage.errors import AskFailed
    from onstage.events.codec import codec_for

    try:
        print_json(await client.result_of(event, type, codec_for(Any), timeout_s))
    except TimeoutError:
        note(f"no answer within {timeout_s:g} s; it is still waited for as process {event}")
        return Exit.FOUND
    except AskFailed as error:
        print_json({"failed": error.kind, "reason": error.reason})
        return Exit.FOUND
    except msgspec.DecodeError as error:  # pragma: no cover  the answerer has encoded it
        raise Failure("the answer cannot be read", str(error), "look at it with `onstage events show`") from error
    return Exit.OK


def nobody_runs(at: Surroundings) -> Failure:
    """The refusal where an answer is wanted and no node runs."""
    why, mend = "no node runs on this store", "start one with `onstage run`"
    return Failure(f"nobody at {at.store} can answer", why, mend, code=Exit.UNREACHABLE)


def duration_s(text: str, option: str) -> float:
    """A duration in seconds. Raises UsageError of click."""
    from onstage.events.duration import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error
