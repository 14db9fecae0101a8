"""The frame: what the runtime knows of the execution that is running now, and where durable calls find it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

import msgspec

from onstage.core.commit import Notes
from onstage.ports.clock import LOOK_AGAIN_S_MAX
from onstage.ports.store import Refused
from onstage.runtime.branch import BRANCH, Branch, Join

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

    from onstage.core.commit import Note, StateWrite
    from onstage.core.execution import Execution
    from onstage.core.outcome import Outcome
    from onstage.runtime.delivery import Delivery, Reaction
    from onstage.runtime.driver import Driver

__all__ = ["CURRENT", "INSIDE_STEP", "Along", "Frame", "Park"]


class Park(BaseException):
    """Unwinds a handler that has nothing to do now. No `except Exception` catches it; do not catch it yourself."""

    def __init__(
        self, due: int | None = None, *, waits: tuple[str, ...] = (), retrying: bool = False, about: int = 0
    ) -> None:
        """`due` is when to look again (ms), `waits` the event types that wake the execution earlier.

        `about` is the request whose answer is waited for, 0 for no answer.
        """
        super().__init__("this execution is parked")
        self.due = due
        self.waits = waits
        self.retrying = retrying
        self.about = about
        self.goes_on = False
        self.diff: str | None = None
        self.stopped = False


@final
class Along(msgspec.Struct, eq=False):
    """What goes along with the next commit of a run, besides its entries: states, and notes to keep or to drop."""

    states: dict[tuple[str, str], StateWrite] = msgspec.field(default_factory=dict)
    dropped: list[tuple[str, int, int]] = msgspec.field(default_factory=list)
    taken: list[Outcome] = msgspec.field(default_factory=list)
    kept: list[Note] = msgspec.field(default_factory=list)

    def write(self, new: StateWrite) -> None:
        """Add a new value; it takes the place of one that is not committed yet."""
        place = (new.state, new.key)
        earlier = self.states.get(place)
        self.states[place] = new if earlier is None else msgspec.structs.replace(new, expected=earlier.expected)

    def notes(self, others: Notes | None) -> Notes | None:
        """The notes of the commit, with those that it has already."""
        if not (self.kept or self.dropped):
            return others
        return Notes(self.kept, self.dropped) if others is None else others.joined(Notes(self.kept, self.dropped))


@final
class Frame(msgspec.Struct, eq=False):
    """One run of one execution: from its start, or from its waking up, to its end or its next park.

    `after` is the position of the newest commit this run follows from. `blocked` holds the calls that cannot go on
    before the execution is parked; once every active call is blocked, it is. `made` counts the calls that are made
    and have not begun. `barred` says that it came to an effect. `main` is the handler's own branch, once there are
    others; `open` are the others that have not ended, `spawned` those whose end nobody else waits for. While `shielded`
    is not 0, a request to cancel waits in the handler's own branch. `shown` is its live state. `nudges` counts what
    came for it while it ran; `alarm` rings when the first of the blocked calls is due, at `rings`.
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
    branches: dict[asyncio.Task[Any], None] | None = None
    resting: asyncio.Future[None] | None = None
    undecided: asyncio.Future[None] | None = None
    parked: Park | None = None
    blocked: dict[asyncio.Future[None], Park] | None = None
    coroutine: Coroutine[Any, Any, Any] | None = None
    task: asyncio.Task[Any] | None = None
    main: Branch | None = None
    open: dict[Branch, None] | None = None
    spawned: list[Branch] | None = None
    shielded: int = 0
    shown: dict[str, Any] | None = None
    along: Along | None = None
    nudges: int = 0
    alarm: asyncio.TimerHandle | None = None
    rings: int = 0

    def takes_along(self) -> Along:
        """What the next commit takes along, to be added to; each addition comes with an entry."""
        if self.along is None:
            self.along = Along()
        return self.along

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
        if self.parked is not None:  # its event was refused meanwhile, though what opened its lane is durable
            raise self.parked

    async def pause(self, park: Park, seen: int | None = None) -> None:
        """As `park`, but returns when the call may go on while others of this execution still run: look again then.

        `seen` is what `nudges` was before it was looked for what `park` waits for.
        """
        # Where retries are counted, for a rate or a budget, that is done when the execution has parked.
        park.goes_on = not park.retrying or self.reaction.turnstile is None
        if park.waits and seen is not None and seen != self.nudges:
            return
        await self.park(park)
        self.leave_if_stopped()
        if self.parked is not None:
            raise self.parked

    async def park(self, park: Park) -> None:
        """Give up this run. The handler's own call unwinds at once if nothing else of it is still active.

        Calls of other branches are not torn away: this one waits until all of them can go no further.
        """
        branch = self.here()
        own = self.task is None or asyncio.current_task() is self.task
        if branch is not None and branch.stopped:
            raise asyncio.CancelledError
        if own and self.active == 1:
            self.parked = park
            raise park
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.blocked is None:
            self.blocked = {}
        self.blocked[future] = park
        if branch is not None:
            branch.blocked[future] = None
        # Two turns later every branch that was started together with this one has made its call.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._others_go_on, park)
        try:
            await future
        finally:
            if self.blocked:  # a cancelled call is blocked no longer
                self.blocked.pop(future, None)
            if not self.blocked:
                self._silence()
            if branch is not None:
                branch.blocked.pop(future, None)

    # What goes on while others run.

    def rouse(self, abouts: Collection[int] | None = None) -> None:
        """Something came while it runs: blocked calls that it may be for look again.

        `abouts` says what it is about: 0 for an event, the number of the request for an answer; None for anything.
        """
        self.nudges += 1
        for future, park in tuple((self.blocked or {}).items()):
            if abouts is None or (park.waits and park.about in abouts):
                self._let_go_on(future, park)

    def _others_go_on(self, park: Park) -> None:
        """Park if all are blocked; else what was recorded is saved, and this call goes on by itself when it is due."""
        self.settle_blocked()
        if self.blocked and not (self.ended or self.closed):
            self.driver.save(self)
            if park.goes_on and park.due is not None:
                self._ring_at(park.due)

    def _ring_at(self, due: int) -> None:
        if self.alarm is not None and self.rings <= due:
            return
        self._silence()
        ahead_s = (due - self.driver.node.clock.now_ms()) / 1000
        self.rings, pause_s = due, min(max(ahead_s, 0.001), LOOK_AGAIN_S_MAX)
        self.alarm = asyncio.get_running_loop().call_later(pause_s, self._ring)

    def _ring(self) -> None:
        self.alarm, now = None, self.driver.node.clock.now_ms()
        for future, park in tuple((self.blocked or {}).items()):
            if park.due is not None and park.due <= now:
                self._let_go_on(future, park)
        dues = [park.due for park in (self.blocked or {}).values() if park.goes_on and park.due is not None]
        if dues:
            self._ring_at(min(dues))

    def _silence(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def _let_go_on(self, future: asyncio.Future[None], park: Park) -> None:
        if park.goes_on and not (self.ended or self.closed or future.done()) and self.blocked:
            del self.blocked[future]
            future.set_result(None)

    def note_branch(self) -> None:
        """Remember the task of a call that is not the handler's own, so that the node can end it."""
        if self.task is not None and (task := asyncio.current_task()) is not self.task and task is not None:
            if self.branches is None:
                self.branches = {}
            self.branches[task] = None

    # Branches.

    def here(self) -> Branch | None:
        """The branch whose code, or a task of whose code, runs now. None while there is only the handler's own."""
        return None if self.main is None else BRANCH.get() or self.main

    def fork(self) -> Branch:
        """The branch that runs now; from now on the handler is one branch among others."""
        if self.main is None:
            self.main = Branch("")
            self.main.started = True
            self.open, self.spawned = {}, []
            self.weigh(self.main)
        return BRANCH.get() or self.main

    def is_own(self, branch: Branch) -> bool:
        """Whether the running task is that of the branch itself, and not one that its code has made."""
        task = self.task if branch is self.main else branch.task
        return task is None or asyncio.current_task() is task

    def weigh(self, branch: Branch) -> None:
        """Something about the branch has changed: count anew what is active."""
        self.active += branch.weigh()

    def ends(self, branch: Branch) -> None:
        """The branch has ended. Whoever waits for it is counted again before it is no longer."""
        branch.ended = True
        if self.open:
            self.open.pop(branch, None)
        if branch.on_end is not None:
            branch.on_end(branch)
        for join in branch.joins:
            join.left -= 1
            if join.left == 0:
                self._go_on(join.by, is_own=join.is_own)
                if not join.future.done():
                    join.future.set_result(None)
        self.weigh(branch)
        if self.blocked or self.resting is not None:
            self.settle_blocked()

    def _go_on(self, by: Branch, *, is_own: bool) -> None:
        if is_own:
            by.joining -= 1
        else:
            by.aside -= 1
        self.weigh(by)

    async def join(self, branches: Collection[Branch], count: int | None = None) -> None:
        """Wait until `count` of the branches have ended (all, if it is None)."""
        running = [branch for branch in branches if not branch.ended]
        left = len(running) if count is None else count - (len(branches) - len(running))
        if left > 0:
            await self._join(running, left)
        if self.parked is not None:
            raise self.parked

    async def _join(self, running: Collection[Branch], left: int) -> None:
        by = self.fork()
        is_own = self.is_own(by)
        join = Join(by, left, is_own=is_own)
        for branch in running:
            branch.joins = (*branch.joins, join)
        if is_own:
            by.joining += 1
        else:
            by.aside += 1
        self.weigh(by)
        self.settle_blocked()
        try:
            await join.future
        finally:
            if join.left > 0:  # it was cancelled
                join.left = 0
                self._go_on(by, is_own=is_own)

    def stop(self, branch: Branch, *, lost: bool = False) -> None:
        """End a branch and those it has opened, at the durable calls they are in; a step that runs is finished."""
        if branch.ended:
            return
        branch.stopped = True
        branch.lost = branch.lost or lost
        for future in tuple(branch.blocked):
            if self.blocked is not None:
                self.blocked.pop(future, None)
            future.cancel()
        for child in branch.children:
            self.stop(child, lost=lost)
        is_idle = branch.started and not (branch.calls or branch.aside or branch.joining)
        if is_idle and branch.task is not None and branch.task is not asyncio.current_task():
            branch.task.cancel()

    def leave_if_stopped(self) -> None:
        """Unwind a branch that was stopped while its call looked for something."""
        branch = self.here()
        if branch is not None and branch.stopped:
            raise asyncio.CancelledError

    async def rest(self) -> None:
        """The handler has ended: wait for the calls that are still under way, and let go of those that are blocked.

        So attempts of a step never overlap, and what is finished beside a failure or a rejection is recorded.
        """
        self.ended = True
        if self.main is not None:
            self.main.ended = True
            self.weigh(self.main)
            for branch in tuple(self.open or ()):
                self.stop(branch)
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
        self._silence()
        if self.ended:
            for future in blocked:
                future.cancel()
            return
        dues = [park.due for park in blocked.values() if park.due is not None]
        whole = Park(
            min(dues) if dues else None,
            waits=tuple(sorted({name for park in blocked.values() for name in park.waits})),
            retrying=all(park.retrying for park in blocked.values()),
        )
        whole.stopped = any(park.stopped for park in blocked.values())
        whole.diff = self.parked.diff if self.parked is not None else None
        self.parked = whole
        for future in blocked:
            if not future.done():
                future.set_exception(whole)


CURRENT: Final[ContextVar[Frame | None]] = ContextVar("onstage_execution", default=None)
INSIDE_STEP: Final[ContextVar[tuple[Frame, str] | None]] = ContextVar("onstage_step", default=None)
