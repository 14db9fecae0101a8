"""Durable time: wakes parked executions when they are due. The heap is derived from rows; the rows are the truth."""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, final

from onstage.ports.clock import LOOK_AGAIN_S_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onstage.ports.clock import Clock
    from onstage.runtime.delivery import Delivery

__all__ = ["FIRED_MAX", "TimerLoop"]

FIRED_MAX: Final = 500
"""How many are woken in one turn of the loop; ten thousand due at once come as a paced stream."""

TIDY_AT_MIN: Final = 1_000
"""From this many times on the heap is cleared of stale ones whenever it has doubled."""


@final
class TimerLoop:
    """One heap of (due, execution). A delivery that is no longer parked until exactly then is passed over."""

    def __init__(
        self,
        clock: Clock,
        sleepers: Mapping[int, Delivery],
        unpark: Callable[[Delivery], None],
        wake: Callable[[], None],
    ) -> None:
        """No timer yet. What is due of `sleepers` (by execution) is unparked, then whoever runs it is woken."""
        self._clock = clock
        self._sleepers = sleepers
        self._unpark = unpark
        self._wake = wake
        self._heap: list[tuple[int, int]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._tidy_at = TIDY_AT_MIN
        self._closed = False

    def add(self, delivery: Delivery) -> None:
        """Wake this delivery at its `due`."""
        assert delivery.due is not None, "a timer has a time"
        if len(self._heap) >= self._tidy_at:
            self._tidy()
        heappush(self._heap, (delivery.due, delivery.id))
        if self._heap[0][1] == delivery.id:
            self._arm()

    def hold(self, delivery: Delivery) -> None:
        """Keep a delivery that has not begun until its `due`; those that are due already come in that order."""
        delivery.parked = delivery.resumed = True
        self.add(delivery)

    def _tidy(self) -> None:
        """Forget the times of executions that were woken earlier: a wait of a day is often over in a minute."""
        self._heap = [(due, execution) for due, execution in self._heap if self._sleeper(due, execution) is not None]
        heapify(self._heap)
        self._tidy_at = max(TIDY_AT_MIN, 2 * len(self._heap))

    def _sleeper(self, due: int, execution: int) -> Delivery | None:
        delivery = self._sleepers.get(execution)
        return delivery if delivery is not None and delivery.parked and delivery.due == due else None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._heap or self._closed:
            return
        ahead_s = (self._heap[0][0] - self._clock.now_ms()) / 1000
        pause_s = min(max(ahead_s, 0.0), LOOK_AGAIN_S_MAX)
        self._handle = asyncio.get_running_loop().call_later(pause_s, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now, fired = self._clock.now_ms(), 0
        while self._heap and self._heap[0][0] <= now and fired < FIRED_MAX:
            due, execution = heappop(self._heap)
            delivery = self._sleeper(due, execution)
            if delivery is None:
                continue
            fired += 1
            self._unpark(delivery)
        self._wake()
        self._arm()

    @property
    def count(self) -> int:
        """How many times are on the heap, those included that are passed over."""
        return len(self._heap)

    def late_s(self) -> float:
        """How long the earliest time that somebody still sleeps until is over, in seconds; 0 if none is."""
        now = self._clock.now_ms()
        while self._heap and self._heap[0][0] <= now:
            if self._sleeper(*self._heap[0]) is not None:
                return (now - self._heap[0][0]) / 1000
            heappop(self._heap)
        return 0.0

    def close(self) -> None:
        """Fire nothing more."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()
