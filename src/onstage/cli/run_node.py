"""`onstage run`: a node until SIGTERM or SIGINT; the first drains, the second stops at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from onstage.cli.options import Surroundings, app_argument, surroundings
from onstage.cli.printing import clean, note, plural, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from onstage.app import App

__all__ = ["command", "serve"]

_LEVELS: Final = ("debug", "info", "warning", "error")


@click.command("run", short_help="Run the app as a node until it is told to stop.")
@app_argument
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True, help="What to log.")
@click.option("--handlers", is_flag=True, help="List the handlers when ready.")
@surroundings
def command(at: Surroundings, *, log_level: str, handlers: bool) -> None:
    """Run APP as a node until SIGTERM or SIGINT: the first lets running work finish, the second stops at once."""
    app = at.app()
    logging.basicConfig(
        stream=sys.stderr, level=log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s  %(message)s"
    )
    tune_collector()
    asyncio.run(serve(app, at, handlers=handlers))


def tune_collector() -> None:
    """Let the cycle collector look less often: a node has many objects in flight and makes few cycles.

    Only for a process that belongs to the node alone; a library must not decide this for its host.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def serve(app: App, at: Surroundings, *, handlers: bool = False) -> None:
    """Run a node until a signal. Raises NodeRunning if another one has the store."""
    from onstage.app import store_path

    path, stop = store_path(at.store), asyncio.Event()
    stage = app.run(at.store)
    _stop_on_signals(stop, stage.drain_s)
    if path is not None:
        await _refuse_second(path)
    async with stage:
        if not stage.is_node:
            raise _taken(path, 0)
        _ready(app, at)
        if handlers:
            _list_handlers(app)
        await stop.wait()
    note("stopped; everything accepted is durable")


async def _refuse_second(path: Path) -> None:
    """A node that is there already is said to be so at once; a client that only holds the store lets us in."""
    from onstage.runtime.local_door import call_when_running

    remote = await call_when_running(path)
    if remote is None:
        return
    await remote.close()
    if remote.runs:
        raise _taken(path, remote.pid)


def _stop_on_signals(stop: asyncio.Event, drain_s: float) -> None:
    def stop_or_exit(number: signal.Signals) -> None:
        if stop.is_set():
            note("stopped at once; what was running is taken up by the next node")
            os._exit(128 + number)
        note(f"{number.name}: running steps have {drain_s:g} s to finish; once more to stop at once")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_or_exit, number)


def _taken(path: Path | None, pid: int) -> Exception:
    from onstage.errors import NodeRunning

    return NodeRunning(
        f"another node (process {pid or 'unknown'}) has {path}\n"
        "  why: one node at a time writes to an SQLite store\n"
        "  to do: stop that one first, or publish through it with `onstage emit` or connect(...)"
    )


def _ready(app: App, at: Surroundings) -> None:
    services, count = [service.name for service in app.services], len(app.manifest.handlers)
    if at.is_json:
        print_json({"ready": True, "pid": os.getpid(), "store": at.store, "services": services, "handlers": count})
        return
    named = f"{plural(len(services), 'service')} ({', '.join(services)})"
    click.echo(f"ready: process {os.getpid()}, {at.store}, {named}, {plural(count, 'handler')}")


def _list_handlers(app: App) -> None:
    for handler in app.manifest.handlers:
        emits: Any = " | ".join(handler.emits) or "nothing"
        click.echo(clean(f"  {handler.name}: {' | '.join(handler.triggers)} -> {emits}"))
