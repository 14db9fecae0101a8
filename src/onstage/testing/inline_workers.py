"""Workers without threads: the writer and synchronous steps run on the loop, in a fixed order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["InlineWorkers"]

R = TypeVar("R")


@final
class InlineWorkers:
    """Deterministic workers for a simulation. Make it on the running loop."""

    def __init__(self) -> None:
        """Run everything on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def submit(self, work: Callable[[], None], *, delay_s: float = 0.0) -> None:
        """Run `work` in a later turn of the loop."""
        if delay_s:
            self._loop.call_later(delay_s, self._unless_closed, work)
            return
        self._loop.call_soon(self._unless_closed, work)

    def post(self, callback: Callable[[], None]) -> None:
        """Run `callback` in a later turn of the loop."""
        self._loop.call_soon(callback)

    async def run(self, function: Callable[[], R]) -> R:
        """Run the function inline, after one turn of the loop."""
        await asyncio.sleep(0)
        return function()

    async def close(self) -> None:
        """Drop what has not run."""
        self._closed = True

    def _unless_closed(self, work: Callable[[], None]) -> None:
        if not self._closed:
            work()
