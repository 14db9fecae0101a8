"""`onstage observe`: an observer until SIGTERM or SIGINT. It reads the log of a broker into a file of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, final

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.metrics_server import HOST, metrics_server
from onstage.cli.options import Surroundings, broker_option, surroundings, webhook_option
from onstage.cli.printing import note, plural, print_json
from onstage.cli.until_stopped import BrokerLines, shown_broker, started, stop_on_signals

if TYPE_CHECKING:
    from onstage.runtime.observatory import Observatory
    from onstage.telemetry.meters import Meters

__all__ = ["command", "metered", "observe"]


@click.command("observe", short_help="Watch services that run apart; gives verdicts and a file to look at.")
@broker_option
@webhook_option
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT", help="Answer /metrics, /livez, /readyz on it."
)
@surroundings
def command(at: Surroundings, *, metrics_port: int | None) -> None:
    """Read what all services of a broker say into the store, until SIGTERM or SIGINT.

    It answers whoever asks for a verdict. `ps`, `show`, `dead ls` and the others work on its store. No handler needs
    it; deleted, its store is made again from the broker's log.
    """
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    asyncio.run(observe(at, metrics_port=metrics_port))


@final
class _Watched:
    """An observer as the server of its metrics knows it."""

    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory
        self.loop = asyncio.get_running_loop()

    def not_ready(self) -> str | None:
        return None if self._observatory.reader is not None else "it has not begun to read"

    async def metrics_text(self) -> str:
        from onstage.runtime.observer_lag import observed
        from onstage.telemetry.openmetrics import text

        return text(await observed(self._observatory))


async def metered(observatory: Observatory) -> Meters | None:
    """Give the metrics of an observer that runs to OpenTelemetry, if whoever began the process set a meter provider."""
    from onstage.runtime.observer_lag import observed
    from onstage.telemetry.meters import Meters, meter_provider

    provider = meter_provider()
    return None if provider is None else Meters(provider, await observed(observatory), lambda: observed(observatory))


async def observe(at: Surroundings, *, metrics_port: int | None = None) -> None:
    """Run an observer until a signal."""
    from onstage.assembly import observatory_on

    stop = asyncio.Event()
    observatory = observatory_on(at.path(), _broker(at), alert_webhook=at.alert_webhook)
    lines = BrokerLines(at, kept="what was seen can still be looked at")
    observatory.broker_watch.tell = lines.tell
    stop_on_signals(stop, "stopping; once more to stop at once", "the next one reads on from what is on disk")
    async with AsyncExitStack() as stack:
        if metrics_port is not None:
            port = await stack.enter_async_context(metrics_server(_Watched(observatory), metrics_port))
            note(f"metrics: http://{HOST}:{port}/metrics")
        stack.push_async_callback(observatory.close)
        if not await started(observatory.start(), stop):
            note("stopped before it was ready")
            return
        meters = await metered(observatory)
        if meters is not None:
            stack.callback(meters.close)
        lines.is_ready = True
        _ready(at)
        await stop.wait()
    _stopped(at, observatory)


def _broker(at: Surroundings) -> str:
    if at.broker is None:
        raise Failure(
            "which broker?",
            "none is named, and no pyproject.toml remembers one",
            "name it with --broker nats://localhost:4222, or as ONSTAGE_BROKER",
            code=Exit.USAGE,
        )
    return at.broker


def _ready(at: Surroundings) -> None:
    broker = shown_broker(_broker(at))
    if at.is_json:
        print_json({"ready": True, "pid": os.getpid(), "store": at.store, "broker": broker})
    else:
        click.echo(f"ready: process {os.getpid()}, {at.store}, broker {broker}, observing")


def _stopped(at: Surroundings, observatory: Observatory) -> None:
    events, receipts = observatory.counts
    if at.is_json:
        print_json({"stopped": True, "events": events, "receipts": receipts})
    else:
        note(f"stopped; {plural(events, 'event')} and {plural(receipts, 'receipt')} were read")
