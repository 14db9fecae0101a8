"""What commands that run until they are told to stop have in common: signals, starting, and what the broker does."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, final

from onstage.cli.printing import clean, note, print_json

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from onstage.cli.options import Surroundings

__all__ = ["BrokerLines", "shown_broker", "started", "stop_on_signals"]


def stop_on_signals(stop: asyncio.Event, notice: str, at_once: str) -> None:
    """Set `stop` at the first SIGTERM or SIGINT and say `notice`; at the second say `at_once` and end."""

    def stop_or_exit(number: signal.Signals) -> None:
        if stop.is_set():
            note(f"stopped at once; {at_once}")
            os._exit(128 + number)
        note(f"{number.name}: {notice}")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_or_exit, number)


async def started(start: Awaitable[object], stop: asyncio.Event) -> bool:
    """Wait until `start` is over, and answer True; or give it up when `stop` is set first. Raises what it raises."""
    starting = asyncio.ensure_future(start)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            return True
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return False
    finally:
        stopping.cancel()


def shown_broker(url: str) -> str:
    """A broker's URL without who logs in and how: what may stand on a screen or in a file."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@final
class BrokerLines:
    """Says once that the broker is away, and once that it is back; nothing at each attempt in between."""

    def __init__(self, at: Surroundings, *, kept: str) -> None:
        """`kept` says what becomes of the work meanwhile. Set `is_ready` when the command is."""
        self.is_ready = False
        self._kept = kept
        self._is_json = at.is_json

    def tell(self, trouble: str | None) -> None:
        """Say it: why the broker is away, or None for one that is back."""
        from onstage.runtime.broker_watch import in_one_line

        why = None if trouble is None else in_one_line(trouble)
        if self._is_json:
            print_json({"broker": "back"} if why is None else {"broker": "away", "why": why})
        elif why is not None and not self.is_ready:
            note(f"waiting for the broker: {clean(why)}; it is tried again until it answers")
        elif why is not None:
            note(f"the broker is away: {clean(why)}; {self._kept}")
        elif self.is_ready:
            note("the broker is back")
