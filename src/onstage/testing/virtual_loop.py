"""An event loop on virtual time: when nothing is ready, the clock jumps to the next timer; nobody ever waits.

Theory of operation. The loop is asyncio's own; only its selector is replaced by one that never sleeps. Where a real
loop would sleep, `_idle` decides: jump to the next timer if that lies before the present horizon, else stop. Times are
whole milliseconds, as the engine's clock has them. Sockets, processes and threads are refused by name: what reaches
out of the simulated world would make it depend on chance.
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio import Handle, TimerHandle
from contextlib import suppress
from heapq import heappop, heappush
from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVarTuple, final
from weakref import ref

from onstage.errors import UsageError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from contextvars import Context

__all__ = ["Killed", "VirtualLoop"]

Ts = TypeVarTuple("Ts")
TURNS_MAX: Final = 100_000
"""How many turns of the loop may happen at one moment before the world is taken to run in circles."""

TIMERS_MAX: Final = 100
"""With more timers than these asyncio looks whether most of them were cancelled."""

DAY_S: Final = 86_400
"""asyncio sleeps no longer at a time."""

_REFUSED: Final = (
    "add_reader", "add_writer", "connect_read_pipe", "connect_write_pipe", "create_connection",
    "create_datagram_endpoint", "create_server", "create_unix_connection", "create_unix_server", "getaddrinfo",
    "getnameinfo", "run_in_executor", "sendfile", "sock_accept", "sock_connect", "sock_recv", "sock_sendall",
    "start_tls", "subprocess_exec", "subprocess_shell",
)  # fmt: skip


class Killed(SystemExit):
    """Leaves the loop at once, as a killed process would: asyncio lets nothing else through."""


@final
class _NoSelector:
    """Where a real loop would sleep."""

    def __init__(self, idle: Callable[[float | None], None]) -> None:
        self._idle = idle

    def select(self, timeout_s: float | None) -> tuple[()]:
        self._idle(timeout_s)
        return ()


@final
class VirtualLoop(asyncio.BaseEventLoop):
    """A private loop; give it work and call `run_to`. It can be killed, and then nothing on it ever runs again."""

    # asyncio's own, of which typeshed says nothing.
    _ready: deque[Any]
    _scheduled: list[Any]
    _timer_cancelled_count: int
    _clock_resolution: float
    _closed: bool
    _debug: bool
    _stopping: bool

    def __init__(self, start_s: float = 0.0) -> None:
        """Begin at this time, in seconds."""
        super().__init__()
        self._now_s = start_s
        self._horizon_s = inf
        self._turns = 0
        self._selector = _NoSelector(self._idle)
        self._clock_resolution = 1e-4  # well within a millisecond, and still more than 0 when added to a late time
        self._born: list[ref[asyncio.Task[Any]]] = []
        self.is_dead = False
        self.on_turn: Callable[[VirtualLoop], None] | None = None
        """Called before each turn, with what is ready; it may reorder that, or let the loop be killed."""
        self.broken: list[dict[str, Any]] = []

    def time(self) -> float:
        """Virtual seconds, in whole milliseconds."""
        return self._now_s

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at `when`, rounded up to the millisecond: never early."""
        when = ceil(round(when * 1000, 3)) / 1000
        if self._closed or self._debug:
            return super().call_at(when, callback, *args, context=context)
        timer = TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]  # noqa: SLF001  asyncio's own
        return timer

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back in the next turn."""
        if self._closed or self._debug:
            return super().call_soon(callback, *args, context=context)
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        """Create a task, and remember it until the loop is buried."""
        task = super().create_task(coro, name=name, context=context)
        self._born.append(ref(task))
        return task

    @property
    def next_timer_s(self) -> float | None:
        """When the next timer is due, None if there is none."""
        return min((timer.when() for timer in self._scheduled if not timer.cancelled()), default=None)

    def run_to(self, horizon_s: float) -> None:
        """Run everything that is due until then. Afterwards it is that time, and nothing is ready."""
        self._horizon_s = horizon_s
        try:
            self.run_forever()
        finally:
            self._horizon_s = inf

    @property
    def due_s(self) -> float:
        """When something is to be run: now if something is ready, else with the next timer, never if there is none."""
        if self._ready:
            return self._now_s
        return self._scheduled[0].when() if self._scheduled else inf

    def turn(self, now_s: float) -> None:
        """Run one turn at this time: what is ready or due by then, not what that makes ready. Never jumps ahead."""
        if now_s > self._now_s:
            self._now_s, self._turns = now_s, 0
        self.stop()
        self.run_forever()

    def _run_once(self) -> None:
        """One turn, as asyncio's own: without events to look for, which is most of what that one does."""
        scheduled = self._scheduled
        if self._debug or len(scheduled) > TIMERS_MAX:
            super()._run_once()  # type: ignore[misc]  # asyncio's own; it also forgets timers that were cancelled
            return
        while scheduled and scheduled[0]._cancelled:  # noqa: SLF001
            self._timer_cancelled_count -= 1
            heappop(scheduled)._scheduled = False  # noqa: SLF001
        ready = self._ready
        if ready or self._stopping:
            self._idle(0)
        else:
            self._idle(min(max(0, scheduled[0].when() - self._now_s), DAY_S) if scheduled else None)
        end_s = self._now_s + self._clock_resolution
        while scheduled and scheduled[0].when() < end_s:
            timer = heappop(scheduled)
            timer._scheduled = False  # noqa: SLF001
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001
                handle._run()  # noqa: SLF001

    def kill_soon(self) -> None:
        """Leave the loop with `Killed` after the present callback, before any other."""
        self._ready.appendleft(self.killer())  # ahead of everybody

    def killer(self) -> asyncio.Handle:
        """A callback that leaves the loop with `Killed`."""
        return asyncio.Handle(self._kill, (), self)

    @staticmethod
    def _kill() -> NoReturn:
        raise Killed

    def _idle(self, timeout_s: float | None) -> None:
        if self.on_turn is not None:
            self.on_turn(self)
        self._turns += 1
        if self._turns > TURNS_MAX:
            self._turns = 0
            raise AssertionError(f"the world runs in circles: {TURNS_MAX} turns of the loop in one millisecond")
        if timeout_s == 0:
            return
        next_s = inf if timeout_s is None else round(self._now_s + timeout_s, 3)
        if next_s <= self._horizon_s and next_s != inf:
            self._turns = 0
            self._now_s = next_s
            return
        if self._horizon_s != inf:
            self._now_s = max(self._now_s, self._horizon_s)
        self._turns = 0
        self.stop()

    def bury(self) -> None:
        """Close what was left lying when the loop was killed: coroutines end without being resumed."""
        self.is_dead = True
        left = [task for born in self._born if (task := born()) is not None and not task.done()]
        self._born.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # calls that were made and never awaited
            for task in left:
                with suppress(BaseException):
                    task.get_coro().close()
        self.close()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what broke for the world to raise; a dead loop has nothing to say."""
        if not self.is_dead:
            self.broken.append(context)

    # What asyncio asks of a loop.

    def _process_events(self, event_list: object) -> None:
        """There are no events but timers and callbacks."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken: the loop never sleeps."""


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise UsageError(
            f"{name} was called in a simulated world\n  why: real I/O and threads make a run unrepeatable\n"
            "  to do: replace the step with sim.stub(step, ...), or its client with a simulated one"
        )

    return refuse


for _name in _REFUSED:
    setattr(VirtualLoop, _name, _refusing(_name))
