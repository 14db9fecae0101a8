"""`onstage run`: a node until SIGTERM or SIGINT; the first drains, the second stops at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import click

from onstage.cli.check_app import lines_at_start
from onstage.cli.metrics_server import HOST, metrics_server
from onstage.cli.options import Surroundings, app_argument, broker_option, surroundings, webhook_option
from onstage.cli.printing import clean, note, plural, print_json
from onstage.cli.until_stopped import BrokerLines, shown_broker, started, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onstage.app import App

__all__ = ["command", "serve"]

_LEVELS: Final = ("debug", "info", "warning", "error")


@click.command("run", short_help="Run the app as a node until it is told to stop.")
@app_argument
@click.option("-s", "--service", "services", multiple=True, metavar="SERVICE", help="Run only this one; repeatable.")
@broker_option
@webhook_option
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True, help="What to log.")
@click.option("--log", "log_kind", type=click.Choice(["text", "json"]), default="text", help="How to log.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT", help="Answer /metrics, /livez, /readyz on it."
)
@click.option("--handlers", is_flag=True, help="List the handlers when ready.")
@surroundings
def command(
    at: Surroundings,
    *,
    services: tuple[str, ...],
    log_level: str,
    log_kind: str,
    metrics_port: int | None,
    handlers: bool,
) -> None:
    """Run APP as a node until SIGTERM or SIGINT: the first lets running work finish, the second stops at once.

    With a broker it runs the services named with -s (else all), on a store of their own; the others run elsewhere.
    Metrics and health are for this machine only: the port is on the loopback address.
    """
    app = at.app()
    log_to_stderr(log_level, as_json=log_kind == "json")
    tune_collector()
    asyncio.run(serve(app, at, services, handlers=handlers, metrics_port=metrics_port))


def log_to_stderr(level: str, *, as_json: bool) -> None:
    """Log from this level up; each line knows the execution that wrote it, and says so as JSON."""
    from onstage.logs import JsonLines, LogContext

    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(LogContext())
    handler.setFormatter(JsonLines() if as_json else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])


def tune_collector() -> None:
    """Let the cycle collector look less often: a node has many objects in flight and makes few cycles.

    Only for a process that belongs to the node alone; a library must not decide this for its host.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def serve(
    app: App,
    at: Surroundings,
    services: Sequence[str] = (),
    *,
    handlers: bool = False,
    metrics_port: int | None = None,
) -> None:
    """Run a node until a signal. Raises NodeRunning if another one has the store."""
    from onstage.app import store_path

    for line in lines_at_start(app, services):
        note(line)
    path, stop = store_path(at.store), asyncio.Event()
    webhook = at.alert_webhook if at.broker is None else None  # an observer tells what happens apart
    stage = app.run(at.store, broker=at.broker, services=services or None, alert_webhook=webhook)
    lines = BrokerLines(at, kept="what is accepted here is kept until it is back")
    stage.on_broker = lines.tell
    notice = f"running steps have {stage.drain_s:g} s to finish; once more to stop at once"
    stop_on_signals(stop, notice, "what was running is taken up by the next node")
    if path is not None:
        await _refuse_second(path)
    stage.is_measured = metrics_port is not None
    async with AsyncExitStack() as stack:
        if metrics_port is not None:
            port = await stack.enter_async_context(metrics_server(stage, metrics_port))
            note(f"metrics: http://{HOST}:{port}/metrics")
        if not await started(stack.enter_async_context(stage), stop):
            note("stopped before it was ready")
            return
        if not stage.is_node:
            raise _taken(path, 0)
        lines.is_ready = True
        _ready(app, at, services)
        if handlers:
            _list_handlers(app, services)
        await stop.wait()
    note("stopped; everything accepted is durable")


async def _refuse_second(path: Path) -> None:
    """A node that is there already is said to be so at once; a client that only holds the store lets us in."""
    from onstage.runtime.remote_door import call_when_running

    remote = await call_when_running(path)
    if remote is None:
        return
    await remote.close()
    if remote.runs:
        raise _taken(path, remote.pid)


def _taken(path: Path | None, pid: int) -> Exception:
    from onstage.errors import NodeRunning

    return NodeRunning(
        f"another node (process {pid or 'unknown'}) has {path}\n"
        "  why: one node at a time writes to an SQLite store\n"
        "  to do: stop that one first, publish through it with `onstage emit`, or give this one a --store of its own"
    )


def _ready(app: App, at: Surroundings, services: Sequence[str]) -> None:
    names = [service.name for service in app.services if not services or service.name in services]
    count = len([handler for handler in app.manifest.handlers if handler.service in names])
    broker = None if at.broker is None else shown_broker(at.broker)
    if at.is_json:
        known = {"ready": True, "pid": os.getpid(), "store": at.store, "broker": broker}
        print_json(known | {"services": names, "handlers": count})
        return
    over = "" if broker is None else f"broker {broker}, "
    named = f"{plural(len(names), 'service')} ({', '.join(names)})"
    click.echo(f"ready: process {os.getpid()}, {at.store}, {over}{named}, {plural(count, 'handler')}")


def _list_handlers(app: App, services: Sequence[str]) -> None:
    for handler in app.manifest.handlers:
        emits: Any = " | ".join(handler.emits) or "nothing"
        if not services or handler.service in services:
            click.echo(clean(f"  {handler.name}: {' | '.join(handler.triggers)} -> {emits}"))
