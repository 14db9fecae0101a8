"""`onstage observe`: an observer until SIGTERM or SIGINT. It reads the log of a broker into a file of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, broker_option, surroundings
from onstage.cli.printing import note, plural, print_json
from onstage.cli.until_stopped import BrokerLines, shown_broker, started, stop_on_signals

if TYPE_CHECKING:
    from onstage.runtime.observatory import Observatory

__all__ = ["command", "observe"]


@click.command("observe", short_help="Watch services that run apart; gives verdicts and a file to look at.")
@broker_option
@surroundings
def command(at: Surroundings) -> None:
    """Read what all services of a broker say into the store, until SIGTERM or SIGINT.

    It answers whoever asks for a verdict. `ps`, `show`, `dead ls` and the others work on its store. No handler needs
    it; deleted, its store is made again from the broker's log.
    """
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    asyncio.run(observe(at))


async def observe(at: Surroundings) -> None:
    """Run an observer until a signal."""
    from onstage.assembly import observatory_on

    stop = asyncio.Event()
    observatory = observatory_on(at.path(), _broker(at))
    lines = BrokerLines(at, kept="what was seen can still be looked at")
    observatory.broker_watch.tell = lines.tell
    stop_on_signals(stop, "stopping; once more to stop at once", "the next one reads on from what is on disk")
    try:
        if not await started(observatory.start(), stop):
            note("stopped before it was ready")
            return
        lines.is_ready = True
        _ready(at)
        await stop.wait()
    finally:
        await observatory.close()
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
