"""Threads: one writer, in order, and a pool for synchronous steps."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SYNC_STEPS_MAX", "ThreadWorkers"]

R = TypeVar("R")
SYNC_STEPS_MAX: Final = 32
log = logging.getLogger("onstage.workers")


@final
class ThreadWorkers:
    """The workers of a real node. Make it on the running loop."""

    def __init__(self) -> None:
        """Start the writer's thread; pool threads start with the first synchronous step."""
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(SYNC_STEPS_MAX, thread_name_prefix="onstage-step")
        self._thread = threading.Thread(target=self._write, name="onstage-writer", daemon=True)
        self._thread.start()
        self._timers: set[asyncio.TimerHandle] = set()
        self._closed = False

    def submit(self, work: Callable[[], None], *, delay_s: float = 0.0) -> None:
        """Run `work` on the writer's thread, in order; with a delay, once it is over."""
        if delay_s:
            self.post(lambda: self._submit_later(work, delay_s))
            return
        self._queue.put(work)

    def post(self, callback: Callable[[], None]) -> None:
        """Run `callback` on the loop soon; from any thread. After the loop has ended nobody is left to be told."""
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            log.debug("the loop is closed; a report of the writer was dropped")

    async def run(self, function: Callable[[], R]) -> R:
        """Run a synchronous function in the pool. Cancelling waits for it, however often: attempts never overlap."""
        future = self._loop.run_in_executor(self._pool, function)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = cancelled or error  # a thread cannot be cancelled: wait on, however often it is said
        if cancelled is None:
            return future.result()
        if not future.cancelled():
            future.exception()
        raise cancelled

    async def close(self) -> None:
        """Finish what was submitted, then stop both."""
        if self._closed:
            return
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit_later(self, work: Callable[[], None], delay_s: float) -> None:
        if self._closed:
            return

        def now() -> None:
            self._timers.discard(timer)
            self._queue.put(work)

        timer = self._loop.call_later(delay_s, now)
        self._timers.add(timer)

    def _write(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("the writer failed: please report this; the node should be restarted")
