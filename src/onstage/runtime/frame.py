"""The frame: what the runtime knows of the execution that is running now, and where durable calls find it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

import msgspec

from onstage.ports.store import Refused

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from onstage.core.execution import Execution
    from onstage.runtime.delivery import Delivery, Reaction
    from onstage.runtime.driver import Driver

__all__ = ["CURRENT", "INSIDE_STEP", "Frame", "Park"]


class Park(BaseException):
    """Unwinds a handler that has nothing to do now. No `except Exception` catches it; do not catch it yourself."""

    def __init__(self, due: int | None = None, *, waits: tuple[str, ...] = (), retrying: bool = False) -> None:
        """`due` is when to look again (ms), `waits` the event types that wake the execution earlier."""
        super().__init__("this execution is parked")
        self.due = due
        self.waits = waits
        self.retrying = retrying
        self.diff: str | None = None


@final
class Frame(msgspec.Struct, eq=False):
    """One run of one execution: from its start, or from its waking up, to its end or its next park.

    `after` is the position of the newest commit this run follows from. `blocked` holds the calls that cannot go on
    before the execution is parked; once every active call is blocked, it is. `made` counts the calls that are made
    and have not begun. `barred` says that it came to an effect. While `shielded` is not 0, a cancellation waits.
    `shown` is its live state.
    """

    delivery: Delivery
    reaction: Reaction
    driver: Driver
    after: int
    started: int
    execution: Execution
    segment: int = 0
    attempts: int = 0
    active: int = 0
    made: int = 0
    barred: bool = False
    closed: bool = False
    ended: bool = False
    branches: tuple[asyncio.Task[Any], ...] = ()
    resting: asyncio.Future[None] | None = None
    undecided: asyncio.Future[None] | None = None
    parked: Park | None = None
    blocked: list[tuple[asyncio.Future[None], Park]] | None = None
    coroutine: Coroutine[Any, Any, Any] | None = None
    task: asyncio.Task[Any] | None = None
    shielded: int = 0
    shown: dict[str, Any] | None = None

    def diverge(self, diff: str) -> NoReturn:
        """Stop here: the code asks for something else than was recorded."""
        self.parked = Park()
        self.parked.diff = diff
        raise self.parked

    async def barrier(self) -> None:
        """Wait until everything that led to this moment is durable. Nothing leaves the node before."""
        try:
            await self.driver.node.store.durable(self.after)
        except Refused:
            self.parked = Park()  # what led here did not happen: this run is forgotten
            raise self.parked from None

    async def park(self, park: Park) -> None:
        """Give up this run. The handler's own call unwinds at once if nothing else of it is still active.

        Calls of other branches are not torn away: this one waits until all of them can go no further.
        """
        own = self.task is None or asyncio.current_task() is self.task
        if own and self.active == 1:
            self.parked = park
            raise park
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.blocked is None:
            self.blocked = []
        self.blocked.append((future, park))
        # Two turns later every branch that was started together with this one has made its call.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self.settle_blocked)
        await future

    def note_branch(self) -> None:
        """Remember the task of a call that is not the handler's own, so that the node can end it."""
        if self.task is not None and (task := asyncio.current_task()) is not self.task and task is not None:
            self.branches += (task,)

    async def rest(self) -> None:
        """The handler has ended: wait for the calls that are still under way, and let go of those that are blocked.

        So attempts of a step never overlap, and what is finished beside a failure or a rejection is recorded.
        """
        self.ended = True
        try:
            while self.active:
                self.resting = asyncio.get_running_loop().create_future()
                self.settle_blocked()
                await self.resting
        finally:
            self.ended, self.resting = False, None

    async def decided(self) -> None:
        """Wait until no transaction of this execution is on its way: what followed a refused one would fall with it."""
        while self.undecided is not None:
            await asyncio.wait([self.undecided])

    def settle_blocked(self) -> None:
        """Park the execution if every active call is blocked; called whenever a call ends or blocks."""
        if self.resting is not None and not self.resting.done() and not self.active:
            self.resting.set_result(None)
        blocked = self.blocked
        if not blocked or self.active > len(blocked):
            return
        self.blocked = None
        if self.ended:
            for future, _ in blocked:
                future.cancel()
            return
        dues = [park.due for _, park in blocked if park.due is not None]
        whole = Park(
            min(dues) if dues else None,
            waits=tuple(sorted({name for _, park in blocked for name in park.waits})),
            retrying=all(park.retrying for _, park in blocked),
        )
        whole.diff = self.parked.diff if self.parked is not None else None
        self.parked = whole
        for future, _ in blocked:
            if not future.done():
                future.set_exception(whole)


CURRENT: Final[ContextVar[Frame | None]] = ContextVar("onstage_execution", default=None)
INSIDE_STEP: Final[ContextVar[tuple[Frame, str] | None]] = ContextVar("onstage_step", default=None)
