"""A stage in a thread of its own, for programs without an event loop: WSGI applications, Django, scripts.

Theory of operation. One thread has one loop, and the stage is entered on it; calls come from any thread and wait for
their answer. A process that was forked has a copy of the memory and not of the threads: a stage that ran in its parent
is refused there, for the parent goes on using the same file. One that is lazy and was not used yet starts in the child.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, final

from onstage.embedding.embedded_stage import in_context_of_caller
from onstage.errors import UsageError
from onstage.events.duration import seconds

if TYPE_CHECKING:
    from types import TracebackType

    from onstage.embedding.embedded_stage import EmbeddedStage
    from onstage.observe.verdict import Verdict

__all__ = ["Background", "BackgroundProcess"]

T = TypeVar("T")
Duration = str | timedelta | float
LOOK_S: Final = 1.0
"""So often whoever waits for an answer looks whether the thread is still there."""
log = logging.getLogger("onstage.background")


@final
class BackgroundProcess:
    """A process that was begun or joined from a thread: its public id, and what may be said about it."""

    __slots__ = ("_background", "id")

    def __init__(self, id: str, background: Background) -> None:
        """Made by `emit` and `process` only."""
        self.id = id
        self._background = background

    def verdict(self, *, timeout: Duration | None = 0) -> Verdict:
        """Wait for a final verdict for at most `timeout` (None: for ever), then answer the present one."""
        return self._background.verdict(self.id, timeout=timeout)

    def __repr__(self) -> str:
        """The public id."""
        return f"Process[{self.id}]"


@final
class Background:
    """A stage in a thread of its own. Its methods may be called from any thread but that one.

    It is stopped when the interpreter exits, as `stop` does it; or use it as a context manager.
    """

    def __init__(self, stage: EmbeddedStage, *, lazy: bool) -> None:
        """Made by `stage.run_in_background` only, which says what `lazy` means."""
        self._stage = stage
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event
        self._failed: BaseException | None = None
        self._stopped = False
        if not lazy:
            self.start()

    # Using it.

    def emit(self, event: object, *, id: str | None = None) -> BackgroundProcess:
        """Emit an event from outside, as `stage.emit` does; when this returns, it is durable."""
        handle = self._ask(lambda: self._stage.emit(event, id=id))
        return BackgroundProcess(handle.id, self)

    def process(self, key: str) -> BackgroundProcess:
        """The newest process with this business key, or the one with this public id. Raises LookupError."""
        return BackgroundProcess(self._ask(lambda: self._stage.process(key)).id, self)

    def verdict(self, process: str, *, timeout: Duration | None = 0) -> Verdict:
        """The verdict on the process with this public id; waits for a final one for at most `timeout`."""
        limit = None if timeout is None else seconds(timeout)
        return self._ask(lambda: self._stage.verdict_on(process, limit))

    # Starting and stopping.

    def start(self) -> None:
        """Start the thread and wait until the stage is entered; nothing if it is. Raises what entering raises."""
        self._refuse_foreign_process()
        with self._lock:
            if self._stopped:
                raise _stopped()
            if self._thread is not None:
                return
            self._pid = os.getpid()
            entered = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(entered,), name="onstage-background", daemon=True)
            self._thread.start()
            entered.wait()
            if self._failed is None:
                _at_exit(self.stop)
                return
            failed, self._failed = self._failed, None
            self._thread.join()
            self._thread = self._pid = None
        raise failed

    def stop(self) -> None:
        """Drain and stop, as leaving a stage does; everything accepted is durable. Safe to call twice.

        Afterwards every call raises UsageError. In a forked child it does nothing: the stage is the parent's.
        """
        if self._pid not in (None, os.getpid()):
            return
        self._refuse_own_thread()
        with self._lock:
            self._stopped = True
            thread, loop = self._thread, self._loop
            if thread is None or loop is None:
                return
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(self._leave.set)
            thread.join()

    def __enter__(self) -> Self:
        """Start, unless it runs."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    # The thread.

    def _run(self, entered: threading.Event) -> None:
        try:
            asyncio.run(self._live(entered))
        except BaseException as error:
            if not entered.is_set():
                self._failed = error
            else:
                log.exception("the stage in the background ended with an error", exc_info=error)
        finally:
            entered.set()

    async def _live(self, entered: threading.Event) -> None:
        self._leave = asyncio.Event()
        async with self._stage:
            self._loop = asyncio.get_running_loop()
            entered.set()
            await self._leave.wait()

    def _ask(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._refuse_own_thread()
        self.start()
        thread, loop = self._thread, self._loop
        assert thread is not None, "it was started"
        assert loop is not None, "it was started"
        asking = in_context_of_caller(ask)
        try:
            future = asyncio.run_coroutine_threadsafe(asking, loop)
        except RuntimeError:
            asking.close()
            raise _stopped() from None
        while not future.done():
            wait([future], timeout=LOOK_S)
            if not thread.is_alive() and not future.done():
                raise _stopped()
        if future.cancelled():
            raise _stopped()
        return future.result()

    # What is refused.

    def _refuse_foreign_process(self) -> None:
        if self._pid in (None, os.getpid()):
            return
        raise UsageError(
            f"this stage runs in process {self._pid}, of which this one is a fork\n"
            "  why: its thread was not copied, and its files are still in use there\n"
            "  to do: call stage.run_in_background() after the fork (gunicorn: in post_fork), or "
            "run_in_background(lazy=True) and use it first in the child"
        )

    def _refuse_own_thread(self) -> None:
        if self._thread is not None and threading.get_ident() == self._thread.ident:
            raise UsageError(
                "a call that waits was made on the stage's own loop\n  why: it would wait for itself for ever\n"
                "  to do: in a handler use emit(...); in a callback of that loop await stage.emit(...)"
            )


def _stopped() -> UsageError:
    return UsageError(
        "this stage was stopped\n"
        "  why: stop() was called, or the interpreter exits; whether the last call was taken is not known\n"
        "  to do: stop it after its last use; the same event with the same id can be sent again"
    )


def _at_exit(stop: Callable[[], None]) -> None:
    """Have `stop` called at exit, before the pools of `concurrent.futures` end, in which steps run."""
    register = getattr(threading, "_register_atexit", atexit.register)
    register(stop)
