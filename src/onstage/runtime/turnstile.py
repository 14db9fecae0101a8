"""Turnstiles: who is let in next where a handler or its service limits, ranks or pauses what runs.

Theory of operation. A handler without such options has no turnstile and pays nothing. With one, a delivery that has its
lane enters here instead of the handler's backlog, and waits in a fair queue; retries wait for the handler's retry
budget before that. What has begun before (it was parked, and woke up) is counted by no rate, and goes before whatever
else its tenant has, but takes that tenant's turns. A `Gate` stands in front of all turnstiles of one service: it keeps
a line of those that could let something in, and asks the first of them, so that the choice is made when a place is free
and not earlier. While the service's rate holds back what is new, it asks those in turn that have something begun.
Whatever waits here is ready: no worker, no task, no place, and its row in the store says so too. At most one timer runs
for each turnstile and gate.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol, final

from onstage.core.fair_queue import PRIORITY, PRIORITY_MAX, FairQueue
from onstage.core.retry_budget import RetryBudget
from onstage.core.token_bucket import KeyedBuckets, TokenBucket
from onstage.events.receipt import Status
from onstage.runtime.delivery import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.contracts.flow_options import Flow
    from onstage.events.rate import Rate
    from onstage.ports.store import EventView, ExecutionView
    from onstage.runtime.delivery import Delivery, Reaction
    from onstage.runtime.kept_rates import KeptRate

__all__ = ["Collector", "Gate", "Turnstile"]

NO_LIMIT: Final = sys.maxsize


def later(wait_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    """Call back after so long, up to a millisecond later: a timer that is too early would only be set once more."""
    return asyncio.get_running_loop().call_later(ceil(wait_s * 1000 - 1e-3) / 1000, call)


class Collector(Protocol):
    """What keeps new deliveries back for a while before they come to the turnstile: a debounce, or a batch."""

    def collect(self, delivery: Delivery, turn: Turn, *, is_new: bool) -> bool:
        """Take over a delivery that never began (`is_new`: it has just come); false if it is none of its own."""
        ...

    async def recovered(self, delivery: Delivery, turn: Turn, view: ExecutionView, event: EventView) -> None:
        """An execution is taken up from the store: prepare what `collect` must know of it."""
        ...


@final
class Gate:
    """Stands before the turnstiles of one service; `running` counts what they let in and what has not left."""

    def __init__(self, let: Callable[[Delivery], None], concurrency: int | None, rate: Rate | None) -> None:
        """`let(delivery)` makes a delivery ready and wakes the workers."""
        self.let = let
        self.concurrency = NO_LIMIT if concurrency is None else concurrency
        self.bucket = None if rate is None else TokenBucket(rate, asyncio.get_running_loop().time())
        self.kept: KeptRate | None = None
        self.running = 0
        self._line: FairQueue[Turnstile] = FairQueue()
        self._begun: deque[Turnstile] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it limits nothing."""
        return self.concurrency == NO_LIMIT and self.bucket is None

    @property
    def due_s(self) -> float | None:
        """When it looks again, on the loop's clock, if it waits for its rate."""
        return None if self._timer is None else self._timer.when()

    def join(self, turnstile: Turnstile) -> None:
        """Put a turnstile in line, if it might let something in; at its highest priority, and once."""
        if not turnstile.might_let():
            return
        if self.bucket is not None and turnstile.begun and not turnstile.in_begun:
            turnstile.in_begun = True
            self._begun.append(turnstile)
        level = turnstile.level
        if turnstile.in_line is not None:
            if turnstile.in_line >= level:
                return
            self._line.remove(tenant=turnstile, priority=turnstile.in_line)
        turnstile.in_line = level
        self._line.push(turnstile, tenant=turnstile, priority=level)

    def advance(self) -> None:
        """Let in whatever may come in now."""
        now_s = asyncio.get_running_loop().time()
        while self.running < self.concurrency:
            wait_s = 0.0 if self.bucket is None else self.bucket.wait_s(now_s)
            if wait_s > 0 and self._begun:
                turnstile = self._begun.popleft()
                turnstile.in_begun = False
                if not turnstile.begun:
                    continue  # it went by the other line meanwhile
            elif not self._line:
                return
            elif wait_s > 0:
                self._look_again(wait_s)
                return
            else:
                turnstile = self._line.pop()
                turnstile.in_line = None
            turnstile.serve(now_s)

    def _look_again(self, wait_s: float) -> None:
        if self._timer is None:
            self._timer = later(wait_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self.advance()


@final
class Turnstile:
    """What waits at one handler, and the rules by which it is let in. Everything here happens on the loop."""

    def __init__(self, reaction: Reaction, gate: Gate, flow: Flow | None) -> None:
        """For this handler, behind the gate of its service. Without `flow` it only pauses and counts."""
        now_s = asyncio.get_running_loop().time()
        self.reaction = reaction
        self.gate = gate
        self.paused = False
        self.collector: Collector | None = None
        self.in_begun = False
        self.in_line: int | None = None
        self._flow = flow
        self._retries: FairQueue[Delivery] = FairQueue()
        self._queue: FairQueue[Delivery] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None
        self._held: dict[int, asyncio.TimerHandle] = {}
        rate, keyed, ratio = (flow.rate, flow.rate_per_key, flow.retry_budget) if flow else (None, None, None)
        self.bucket = None if rate is None else TokenBucket(rate, now_s)
        self.keyed = None if keyed is None else KeyedBuckets(keyed)
        self.kept: KeptRate | None = None
        self.kept_by_key: KeptRate | None = None
        self._budget = None if ratio is None else RetryBudget(ratio, now_s)
        self._fields = tuple(filter(None, (flow.fair_by, flow.priority_by))) if flow else ()
        self._priority = PRIORITY if flow is None or flow.priority is None else flow.priority

    @property
    def waiting(self) -> int:
        """How many deliveries wait here."""
        return len(self._retries) + len(self._queue) + len(self._held)

    @property
    def begun(self) -> int:
        """How many of them have begun before."""
        return self._queue.begun

    @property
    def level(self) -> int:
        """The highest priority of what waits here."""
        return self._queue.top if self._queue else self._priority

    @property
    def is_plain(self) -> bool:
        """Whether this handler needs no turnstile at present."""
        return self._flow is None and self.gate.is_plain and not self.paused

    @property
    def due_s(self) -> float | None:
        """When it looks again by itself, on the loop's clock; None if nothing waits for a rate or a budget."""
        timers = [self._timer, *self._held.values()] if self._held else [self._timer]
        return min((timer.when() for timer in timers if timer is not None), default=None)

    # What comes and goes.

    def holds(self, delivery: Delivery) -> bool:
        """Whether a collector takes a delivery over before it asks for its lane."""
        if self.collector is None:
            return False
        is_new = delivery.turn is None and not delivery.resumed
        return self.collector.collect(delivery, delivery.turn or self.mark(delivery, delivery.data), is_new=is_new)

    def enter(self, delivery: Delivery) -> None:
        """Take over a delivery that has its lane."""
        turn = delivery.turn or self.mark(delivery, delivery.data)
        if turn.is_retry and self._budget is not None:
            self._retries.push(delivery, tenant=turn.tenant, priority=turn.priority)
        else:
            if self._budget is not None and not turn.has_begun:
                self._budget.begun()
            self._push(delivery, turn)
        self.gate.join(self)
        self.gate.advance()

    def left(self) -> None:
        """One that was let in has ended or parked, and its place is free."""
        self.gate.running -= 1
        self.gate.join(self)
        self.gate.advance()

    def parked(self, delivery: Delivery, status: Status) -> None:
        """A run ended without settling its delivery: note what it is when it comes again."""
        turn = delivery.turn or self.mark(delivery, None)
        turn.has_begun = status is Status.WAITING
        turn.is_retry = not turn.has_begun

    async def recovered(self, delivery: Delivery, view: ExecutionView, event: EventView) -> None:
        """An execution is taken up from the store: give it its place in the order."""
        turn = self.mark(delivery, event.data)
        status = Status(view.status)
        turn.is_retry = status in (Status.RETRYING, Status.PARKED, Status.DIVERGED)
        turn.has_begun = view.started > 0 and not turn.is_retry
        if self.collector is not None:
            await self.collector.recovered(delivery, turn, view, event)

    def mark(self, delivery: Delivery, data: bytes | None) -> Turn:
        """Work out the tenant and the priority of a delivery."""
        turn = delivery.turn = Turn(priority=self._priority)
        flow = self._flow
        if flow is None or not self._fields or data is None or delivery.type is None:
            return turn
        try:
            event = delivery.type.decode(data)
            turn.tenant = None if flow.fair_by is None else str(getattr(event, flow.fair_by))
            level = None if flow.priority_by is None else getattr(event, flow.priority_by)
            turn.priority = self._priority if level is None else min(max(int(level), 0), PRIORITY_MAX)
        except Exception:  # noqa: BLE001  the class's own code may raise anything; its run is set aside for it
            turn.priority = self._priority
        return turn

    def empty(self) -> list[Delivery]:
        """Give up everything that waits, in the order in which it would have been let in."""
        waiting = [self._queue.pop(begun_only=True) for _ in range(self.begun)]
        waiting += [self._retries.pop() for _ in range(len(self._retries))]
        return waiting + [self._queue.pop() for _ in range(len(self._queue))]

    # For the gate.

    def might_let(self) -> bool:
        """Whether something waits and a place is free."""
        if self.paused or self.reaction.running >= self.reaction.concurrency:
            return False
        return bool(self._queue or self._retries)

    def serve(self, now_s: float) -> None:
        """Let one in, if one may come in now; else look again when it may."""
        if not self.might_let():
            return
        delivery = self._next(now_s)
        if delivery is not None:
            self.reaction.running += 1
            self.gate.running += 1
            self.gate.let(delivery)
        if delivery is not None or self._timer is None:
            self.gate.join(self)

    def _next(self, now_s: float) -> Delivery | None:
        wait_s = self._wait_s(now_s)
        if wait_s > 0 and self.begun:
            return self._queue.pop(begun_only=True)
        if wait_s > 0:
            self._look_again(wait_s)
            return None
        if self._retries and self._budget is not None and self._budget.wait_s(now_s) == 0:
            self._budget.take(now_s)
            retry = self._retries.pop()
            self._push(retry, retry.turn or self.mark(retry, None))
        delivery = self._queue.pop()
        if delivery.turn is not None and delivery.turn.has_begun:
            return delivery
        if self.keyed is not None and delivery.lane is not None:
            wait_s = self.keyed.wait_s(delivery.lane, now_s)
            if wait_s > 0:
                self._held[delivery.id] = later(wait_s, lambda: self._again(delivery))
                return None
            self.keyed.take(delivery.lane, now_s)
            if self.kept_by_key is not None:
                self.kept_by_key.took(delivery.lane)
        for way in (self, self.gate):
            if way.bucket is not None:
                way.bucket.take(now_s)
            if way.kept is not None:
                way.kept.took("")
        return delivery

    def _wait_s(self, now_s: float) -> float:
        waits = [bucket.wait_s(now_s) for bucket in (self.bucket, self.gate.bucket) if bucket is not None]
        if not self._queue and self._budget is not None:
            waits.append(self._budget.wait_s(now_s))
        return max(waits, default=0.0)

    def _push(self, delivery: Delivery, turn: Turn) -> None:
        self._queue.push(delivery, tenant=turn.tenant, priority=turn.priority, has_begun=turn.has_begun)

    def _again(self, delivery: Delivery) -> None:
        del self._held[delivery.id]
        self._push(delivery, delivery.turn or self.mark(delivery, None))
        self.gate.join(self)
        self.gate.advance()

    def _look_again(self, wait_s: float) -> None:
        if self._timer is None:
            self._timer = later(wait_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self.gate.join(self)
        self.gate.advance()
