"""The machine of a world: a connection that fails, a writer's thread that dawdles, a clock that is moved."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import apsw

from onstage.testing.world.swarm import Fault, Swarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from onstage.testing.virtual_clock import VirtualClock
    from onstage.testing.world.tape import Stream

__all__ = ["FlawedClock", "FlawedConnection", "FlawedWorkers"]

R = TypeVar("R")
TURNS_LATE_MAX: Final = 4
FULL_S: Final = (0.3, 2.0, 30.0)
SLOW_S: Final = (0.001, 0.05, 1.5, 8.0)


@final
class FlawedConnection:
    """The writer's connection; its BEGIN and COMMIT meet the faults of the world."""

    def __init__(self, connection: apsw.Connection, swarm: Swarm, time_s: Callable[[], float]) -> None:
        """Around a real connection."""
        object.__setattr__(self, "_connection", connection)
        object.__setattr__(self, "_swarm", swarm)
        object.__setattr__(self, "_time_s", time_s)
        self._connection: apsw.Connection
        self._swarm: Swarm
        self._time_s: Callable[[], float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._connection, name, value)

    # What is asked for often: quicker than by `__getattr__`.

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun."""
        return self._connection.in_transaction

    def cursor(self) -> apsw.Cursor:
        """A cursor of the real connection."""
        return self._connection.cursor()

    def set_progress_handler(self, *handler: Any) -> None:
        """Who is asked now and then whether a statement may go on."""
        self._connection.set_progress_handler(*handler)

    def execute(self, statement: str, bindings: Any = None, /) -> Any:
        """Run a statement, or fail as a machine does."""
        kind = statement[:6]
        if kind == "COMMIT":
            return self._commit(statement)
        if kind == "BEGIN " and self._swarm.strikes(Fault.STORE_BUSY):
            raise _error(apsw.SQLITE_BUSY, "database is locked")
        return self._connection.execute(statement, bindings)

    def executemany(self, statement: str, rows: Iterable[Any], /) -> Any:
        """Run a statement for many rows."""
        return self._connection.executemany(statement, rows)

    def _commit(self, statement: str) -> Any:
        swarm = self._swarm
        if swarm.strikes(Fault.DISK_FULL):
            swarm.full_until_s = self._time_s() + FULL_S[swarm.amount(Fault.DISK_FULL, len(FULL_S))]
        if not swarm.is_calm and self._time_s() < swarm.full_until_s:
            raise _error(apsw.SQLITE_FULL, "database or disk is full")
        if swarm.strikes(Fault.ERROR_BEFORE_COMMIT):
            raise _error(*_SOME_ERRORS[swarm.amount(Fault.ERROR_BEFORE_COMMIT, len(_SOME_ERRORS))])
        answer = self._connection.execute(statement)
        if swarm.strikes(Fault.ERROR_AFTER_COMMIT):
            raise _error(*_SOME_ERRORS[swarm.amount(Fault.ERROR_AFTER_COMMIT, len(_SOME_ERRORS))])
        return answer


_SOME_ERRORS: Final = (
    (apsw.SQLITE_IOERR, "disk I/O error"),
    (apsw.SQLITE_FULL, "database or disk is full"),
    (apsw.SQLITE_BUSY, "database is locked"),
)


def _error(code: int, text: str) -> Exception:
    error = apsw.exception_for(code)
    error.args = (text,)
    return error


@final
class FlawedWorkers:
    """Workers on the loop whose work and reports come a few turns late, each kind in its order."""

    def __init__(self, swarm: Swarm, chance: Stream) -> None:
        """Make it on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._swarm = swarm
        self._chance = chance
        self._dawdles = swarm.rate(Fault.SLOW_COMMIT) > 0
        self._work: deque[Callable[[], None]] = deque()
        self._reports: deque[Callable[[], None]] = deque()
        self._closed = False

    def submit(self, work: Callable[[], None], *, delay_s: float = 0.0) -> None:
        """Run `work` in a later turn of the loop, in order."""
        if delay_s:
            self._loop.call_later(delay_s, self.submit, work)
            return
        self._work.append(work)
        if len(self._work) > 1:
            return
        if self._swarm.strikes(Fault.SLOW_COMMIT):
            pause_s = SLOW_S[self._swarm.amount(Fault.SLOW_COMMIT, len(SLOW_S))]
            self._loop.call_later(pause_s, self._next, self._work, 0)
            return
        self._loop.call_soon(self._next, self._work, self._turns())

    def post(self, callback: Callable[[], None]) -> None:
        """Run `callback` in a later turn of the loop, in order."""
        self._reports.append(callback)
        if len(self._reports) == 1:
            self._loop.call_soon(self._next, self._reports, self._turns())

    def _turns(self) -> int:
        return self._chance.pick(TURNS_LATE_MAX) if self._dawdles and not self._swarm.is_calm else 0

    def _next(self, queue: deque[Callable[[], None]], turns: int) -> None:
        if self._closed:
            return
        if turns:
            self._loop.call_soon(self._next, queue, turns - 1)
            return
        try:
            queue[0]()
        finally:
            queue.popleft()
            if queue:
                self._loop.call_soon(self._next, queue, self._turns())

    async def run(self, function: Callable[[], R]) -> R:
        """Run the function inline, after a turn of the loop."""
        for _ in range(1 + self._turns()):
            await asyncio.sleep(0)
        return function()

    async def close(self) -> None:
        """Drop what has not run."""
        self._closed = True


@final
class FlawedClock:
    """The world's clock: what the node reads, which may be wrong, and be set right again."""

    def __init__(self, plain: VirtualClock) -> None:
        """Right at first."""
        self._plain = plain
        self.wrong_ms = 0

    def now_ms(self) -> int:
        """What the clock says."""
        return self._plain.now_ms() + self.wrong_ms

    def chance(self) -> float:
        """The next number of the seed."""
        return self._plain.chance()

    def token(self, size: int) -> bytes:
        """The next bytes of the seed."""
        return self._plain.token(size)
