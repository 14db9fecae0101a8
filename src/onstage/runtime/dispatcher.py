"""Who runs next: lanes, concurrency, the pool of worker tasks, and the bound on what is not durable yet.

Theory of operation. Deliveries become ready in the order of the log. A worker task, once it runs, takes one ready
delivery after the other, without a task or a turn of the loop for each: a handler that never suspends runs through in
one call. The one delivery that a handler has caused runs right after it, for at most `FUSED_HOPS_MAX` hops before the
others have their turn: so a process goes through many hops in one batch, which writes its rows once. When a handler
suspends, its worker stays with it, and others take over: as many are woken in one turn of the loop as handlers have
lately been seen to suspend (`_spread`, doubled and reset). After at most `TURN_DELIVERIES_MAX` handlers a worker hands
what they appended to the writer and lets the loop breathe. While the store has more than `UNDURABLE_COMMITS_MAX`
commits that are not on disk, nothing new is begun.

A handler that waits for the disk before its first effect is not begun before the commit it follows from is durable: it
would only be suspended. Whether it does is taken from its last run (`Reaction.patient`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, final

from onstage.runtime.continuing import ContinueAsNew
from onstage.runtime.frame import CURRENT
from onstage.runtime.gather import rest_of, unheard_failure
from onstage.runtime.ranked_ready import RankedReady
from onstage.runtime.suspended import Suspended
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from onstage.ports.store import Store
    from onstage.runtime.delivery import Delivery
    from onstage.runtime.driver import Driver
    from onstage.runtime.frame import Frame

__all__ = ["TURN_DELIVERIES_MAX", "UNDURABLE_COMMITS_MAX", "Dispatcher"]

TURN_DELIVERIES_MAX: Final = 512
UNDURABLE_COMMITS_MAX: Final = 20_000
IDLE_WORKERS_MAX: Final = 1_024
SPREAD_MAX: Final = 1_024
FUSED_HOPS_MAX: Final = 64


async def _raised(frame: Frame, error: BaseException) -> None:
    """The handler raised while it had branches: they end first, or are waited for if it begins anew."""
    if isinstance(error, ContinueAsNew):
        await rest_of(frame, None)
    else:
        await frame.rest()
    raise error


@final
class Dispatcher:
    """Runs deliveries on this node. Everything here happens on the loop."""

    def __init__(self, driver: Driver, store: Store) -> None:
        """Nothing runs before `wake`."""
        self._driver = driver
        self._store = store
        self._ready: deque[Delivery] | RankedReady = deque()
        self._ahead_of_disk: dict[int, list[Delivery]] = {}
        self._durable = 0
        self._draining = False
        self._scheduled = 0
        self._spread = 1
        self._idle: list[asyncio.Future[None]] = []
        self._workers: set[asyncio.Task[None]] = set()
        self._context = copy_context()
        self._closing = False
        self._flush_scheduled = False
        self.running: dict[int, Frame] = {}
        self.dropped: set[int] = set()

    # What becomes ready.

    def offer(self, delivery: Delivery) -> None:
        """Take a delivery over: it runs when its lane and a place at its handler are free."""
        reaction, lane, turnstile = delivery.reaction, delivery.lane, delivery.reaction.turnstile
        if turnstile is not None and turnstile.holds(delivery):
            return
        if lane is not None and not delivery.has_lane:
            if reaction.behind and delivery.n > reaction.behind:
                reaction.held.append(delivery)  # what is older of its key comes first
                return
            lanes = reaction.lanes
            if lane in lanes:
                queue = lanes[lane]
                if queue is None:
                    queue = lanes[lane] = deque()
                queue.append(delivery)
                return
            lanes[lane] = None
            delivery.has_lane = True
        if turnstile is not None:
            turnstile.enter(delivery)
            return
        if reaction.running >= reaction.concurrency:
            reaction.backlog.append(delivery)
            return
        reaction.running += 1
        self._ready.append(delivery)

    def hold_lane(self, delivery: Delivery) -> None:
        """Close the lane of an execution that does not run now: parked, or set aside with `on_failure="block"`."""
        if delivery.lane is not None and not delivery.has_lane:
            assert delivery.lane not in delivery.reaction.lanes, "a lane has one holder"
            delivery.reaction.lanes[delivery.lane] = None
            delivery.has_lane = True

    def take_lane(self, delivery: Delivery, before: Iterable[Delivery]) -> None:
        """Give a parked execution the lane that those `before` it hold or wait for; they go on without a lane."""
        assert delivery.lane is not None, "only a delivery with a key holds a lane"
        queue = delivery.reaction.lanes[delivery.lane]
        for other in before:
            other.lane = None
            if queue and other in queue:
                queue.remove(other)
                self.offer(other)
            other.has_lane = False
        delivery.has_lane = True

    def release_place(self, delivery: Delivery) -> None:
        """The execution ended or parked: let the next one of its handler run."""
        reaction = delivery.reaction
        reaction.running -= 1
        if reaction.turnstile is not None:
            reaction.turnstile.left()
        elif reaction.backlog:
            reaction.running += 1
            self._ready.append(reaction.backlog.popleft())

    def release_lane(self, delivery: Delivery, *, after: int = 0) -> None:
        """Let the next event of the same key in. Its effects wait for the commit `after`, which opened the lane.

        Otherwise a crash could undo that, and the one before would run again after effects of the next.
        """
        if not delivery.has_lane:
            return
        delivery.has_lane = False
        lanes, lane = delivery.reaction.lanes, delivery.lane
        assert lane is not None, "only a delivery with a key holds a lane"
        queue = lanes.pop(lane)
        while queue:
            following = queue.popleft()
            if following.id in self.dropped:
                self.dropped.discard(following.id)
                continue
            following.after = max(following.after, after)
            self.offer(following)
            lanes[lane] = queue or None
            return

    def let(self, delivery: Delivery) -> None:
        """Make ready what a turnstile has let in."""
        self._ready.append(delivery)
        self.wake()

    def rank(self) -> None:
        """Heed the priorities of handlers among what is ready, from now on; before anything is."""
        self._ready = RankedReady()

    def durable(self, position: int) -> None:
        """What follows from commits up to `position` no longer waits for the disk."""
        if self._ahead_of_disk:
            for at in range(self._durable + 1, position + 1):
                self._ready.extend(self._ahead_of_disk.pop(at, ()))
        self._durable = position

    # Workers.

    def wake(self) -> None:
        """See that workers are on their way, if there is something to do."""
        if self._draining or self._closing or not self._ready:
            return
        if self._store.undurable >= UNDURABLE_COMMITS_MAX:
            return
        for _ in range(min(len(self._ready), self._spread) - self._scheduled):
            self._wake_one()

    def _wake_one(self) -> None:
        self._scheduled += 1
        while self._idle:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                return
        task = asyncio.get_running_loop().create_task(self._work(), context=self._context.copy())
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    def flush_soon(self) -> None:
        """Hand what is appended to the writer at the end of this turn of the loop."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        self._store.flush()

    async def _work(self) -> None:
        self._scheduled -= 1
        while not self._closing:
            left, suspended = self._drain()
            if suspended is not None:
                await self._stay(*suspended)
                continue
            if left < TURN_DELIVERIES_MAX:  # else what others append in this turn of the loop goes along
                self._store.flush()
            if left == 0:
                self._scheduled += 1
                await asyncio.sleep(0)
                self._scheduled -= 1
                continue
            if not await self._idle_until_woken():
                return

    def _drain(self) -> tuple[int, tuple[Frame, Suspended] | None]:
        """Run ready deliveries until one suspends, the turn is used up, or nothing more may begin."""
        left = TURN_DELIVERIES_MAX
        suspended: tuple[Frame, Suspended] | None = None
        self._draining = True
        ready, fused, durable = self._ready, 0, self._durable
        try:
            while ready and left and self._store.undurable < UNDURABLE_COMMITS_MAX:
                delivery = ready.popleft()
                if delivery.after > durable and (delivery.reaction.patient or delivery.data is None):
                    self._ahead_of_disk.setdefault(delivery.after, []).append(delivery)
                    continue
                left -= 1
                others = len(ready)
                suspended = self._run(delivery)
                if suspended is not None:
                    break
                fused = fused + 1 if len(ready) == others + 1 and fused < FUSED_HOPS_MAX else 0
                if fused:
                    ready.appendleft(ready.pop())
        finally:
            self._draining = False
        begun = TURN_DELIVERIES_MAX - left
        if suspended is not None and begun == 1:
            self._spread = min(self._spread * 2, SPREAD_MAX)
        elif begun > 1:
            self._spread = 1
        return left, suspended

    async def _idle_until_woken(self) -> bool:
        if len(self._idle) >= IDLE_WORKERS_MAX or self._closing:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle.append(future)
        await future
        self._scheduled -= 1
        return not self._closing

    async def _stay(self, frame: Frame, suspended: Suspended) -> None:
        """Let others take over, and stay with the handler to its end."""
        frame.task = asyncio.current_task()
        self.running[frame.delivery.id] = frame
        self.wake()
        self.flush_soon()
        following: tuple[Frame, Suspended] | None = (frame, suspended)
        while following is not None:
            frame, suspended = following
            try:
                result = await suspended
            except BaseException as error:  # noqa: BLE001  the driver decides what it means
                self._leave_if_closing(error)
                if isinstance(error, ContinueAsNew) and frame.open:
                    following = self._start(frame, _raised(frame, error))
                    continue
                if frame.active:
                    await frame.rest()
                following = self._after_error(frame, error)
            else:
                if frame.active and not frame.open:
                    await frame.rest()
                following = self._after_return(frame, result)
        self.running.pop(frame.delivery.id, None)
        self.flush_soon()

    def _leave_if_closing(self, error: BaseException) -> None:
        # A generator's exit: the loop is gone, and what was never finished is being thrown away.
        if isinstance(error, GeneratorExit) or (self._closing and isinstance(error, asyncio.CancelledError)):
            raise error

    def _run(self, delivery: Delivery) -> tuple[Frame, Suspended] | None:
        if self.dropped and delivery.id in self.dropped:
            self.dropped.discard(delivery.id)
            self._driver.forget(delivery)
            return None
        frame, coroutine = self._driver.begin(delivery)
        if coroutine is None:
            return None
        return self._start(frame, coroutine)

    def _start(self, frame: Frame, coroutine: Coroutine[Any, Any, Any]) -> tuple[Frame, Suspended] | None:
        context = self._context.copy()
        frame.coroutine = coroutine
        try:
            context.run(CURRENT.set, frame)
            first = context.run(coroutine.send, None)
        except StopIteration as stop:
            return self._after_return(frame, stop.value)
        except BaseException as error:  # noqa: BLE001  the driver decides what it means
            return self._start(frame, _raised(frame, error)) if frame.open else self._after_error(frame, error)
        return frame, Suspended(frame, coroutine, context, first)

    def _after_return(self, frame: Frame, result: Any) -> tuple[Frame, Suspended] | None:
        """Let the driver settle a run, once the branches that the handler has left open have ended."""
        if frame.open:
            return self._start(frame, rest_of(frame, result))
        failure = unheard_failure(frame) if frame.spawned else None
        if failure is not None:
            return self._after_error(frame, failure)
        self._driver.returned(frame, result)
        return None

    def _after_error(self, frame: Frame, error: BaseException) -> tuple[Frame, Suspended] | None:
        """Let the driver settle a failed run; a rejected one goes on with its undo steps."""
        coroutine = self._driver.raised(frame, error)
        return None if coroutine is None else self._start(frame, coroutine)

    # The end.

    @property
    def busy(self) -> int:
        """How many handlers run, or are ready to run now or once the disk has caught up."""
        return len(self.running) + len(self._ready) + sum(map(len, self._ahead_of_disk.values()))

    async def close(self, grace_s: float) -> None:
        """Start nothing more, give running handlers `grace_s` seconds, then cancel them."""
        self._closing = True
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        self._idle.clear()
        workers = {task for task in self._workers if task is not asyncio.current_task()}
        if workers and grace_s:
            await asyncio.wait(workers, timeout=grace_s)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await self._end_branches()

    async def _end_branches(self) -> None:
        """No effect outlives the node: end what still runs beside the handlers, and keep what it came to."""
        frames = list(self.running.values())
        branches = [task for frame in frames for task in frame.branches or ()]
        await end_tasks(*branches)
        for frame in frames:
            self._driver.save(frame)
            frame.closed = True
