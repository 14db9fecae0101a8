"""Debounce: of the events of one key that come close together, the last one runs, and the others are skipped.

Theory of operation. A new delivery replaces the one before it, which is settled as skipped at once, in a commit that
follows from the new event: so at any crash either both are open, and the older is skipped again, or only the newer is.
With `max_wait` the first of a burst stays open beside the last, because its event's time is what the limit counts from;
it is skipped when the last one goes. When a burst ends is worked out from the times of events, which are in the store.
One timer runs for each burst and is moved when it fires, so an event costs O(1).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

import msgspec

from onstage.core import lifecycle
from onstage.core.execution import Execution
from onstage.core.lifecycle import Input
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import Status
from onstage.runtime.delivery import Delivery
from onstage.runtime.frame import Frame

if TYPE_CHECKING:
    from onstage.contracts.flow_options import Flow
    from onstage.ports.store import EventView, ExecutionView
    from onstage.runtime.delivery import Turn
    from onstage.runtime.node import Node

__all__ = ["Debounce", "skip"]


@final
class _Burst(msgspec.Struct, eq=False):
    """Events of one key: the first one, if it is still open, when it came (ms), and the last one."""

    begun: int
    last: Delivery
    first: Delivery | None = None


@final
class Debounce:
    """The bursts of one handler."""

    def __init__(self, node: Node, flow: Flow) -> None:
        """For a handler that declares `debounce=`."""
        self._node = node
        self._pause_ms = round((flow.debounce_s or 0) * 1000)
        self._most_ms = None if flow.max_wait_s is None else round(flow.max_wait_s * 1000)
        self._bursts: dict[str | None, _Burst] = {}

    def __len__(self) -> int:
        """How many keys have a burst."""
        return len(self._bursts)

    def collect(self, delivery: Delivery, turn: Turn, *, is_new: bool) -> bool:
        """Take over a delivery that never began; what it replaces is skipped."""
        if is_new:
            turn.since = self._node.clock.now_ms()
        if not turn.since:
            return False  # it was let go before, or has begun
        burst = self._bursts.get(delivery.lane)
        if burst is None:
            burst = self._bursts[delivery.lane] = _Burst(turn.since, delivery)
            self._look_at(delivery.lane, burst)
            return True
        before, burst.last = burst.last, delivery
        if self._most_ms is not None and burst.first is None:
            burst.first = before
        else:
            self._skip(before, delivery)
        return True

    async def recovered(self, delivery: Delivery, turn: Turn, view: ExecutionView, event: EventView) -> None:
        """What never began is debounced again, from the time of its event."""
        if not view.started and Status(view.status) is Status.READY:
            turn.since = hlc_ms(event.hlc)

    def _due(self, burst: _Burst) -> int:
        turn = burst.last.turn
        due = (burst.begun if turn is None else turn.since) + self._pause_ms
        return due if self._most_ms is None else min(due, burst.begun + self._most_ms)

    def _look_at(self, key: str | None, burst: _Burst) -> None:
        ahead_s = max(0, self._due(burst) - self._node.clock.now_ms()) / 1000
        asyncio.get_running_loop().call_later(ahead_s, self._fire, key, burst)

    def _fire(self, key: str | None, burst: _Burst) -> None:
        if self._bursts.get(key) is not burst:
            return
        if self._due(burst) > self._node.clock.now_ms():
            self._look_at(key, burst)
            return
        del self._bursts[key]
        dropped = self._node.dispatcher.dropped
        kept = [each for each in (burst.first, burst.last) if each is not None and each.id not in dropped]
        dropped.difference_update(each.id for each in (burst.first, burst.last) if each is not None)
        for older in kept[:-1]:
            self._skip(older, kept[-1])
        if not kept:
            return
        last = kept[-1]
        assert last.turn is not None, "it was collected"
        last.turn.since = 0
        self._node.dispatcher.offer(last)
        self._node.dispatcher.wake()

    def _skip(self, older: Delivery, newer: Delivery) -> None:
        if older.id in self._node.dispatcher.dropped:
            self._node.dispatcher.dropped.discard(older.id)
            return
        names = newer.names or self._node.numbers.names(newer.process, newer.n)
        skip(self._node, older, f"debounced: event {names[1]} of the same key came after it", after=newer.after)


def skip(node: Node, delivery: Delivery, why: str, *, after: int = 0) -> None:
    """Settle a delivery that never began as skipped, in a commit that follows from its event and from `after`."""
    status = lifecycle.advance(Status.READY, Input.SKIP)
    after = max(delivery.after, after)
    frame = Frame(delivery, delivery.reaction, node.driver, after, node.clock.now_ms(), Execution())
    node.driver.commit(frame, status, error=why)
    frame.closed = True
    node.open.pop(delivery.id, None)
    node.dispatcher.flush_soon()
