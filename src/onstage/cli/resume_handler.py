"""`onstage resume`: let what `onstage pause` has paused go on."""

from __future__ import annotations

import asyncio

import click

from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.pause_handler import set_pause

__all__ = ["command"]


@click.command("resume", short_help="Let a paused handler or service go on.")
@click.argument("name", metavar="SERVICE[.HANDLER]")
@app_option
@surroundings
def command(at: Surroundings, *, name: str) -> None:
    """Let a paused handler (payment.charge) or service (payment) go on, with what has queued.

    It ends a pause and nothing else: what was set aside is tried again with `onstage dead retry`.
    """
    asyncio.run(set_pause(at, name, paused=False))
