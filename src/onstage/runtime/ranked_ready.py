"""What is ready, by the priority of its handler: in place of the plain queue where a handler declares one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from onstage.core.fair_queue import PRIORITY, FairQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.runtime.delivery import Delivery

__all__ = ["RankedReady"]


@final
class RankedReady:
    """As much of a deque as the dispatcher uses. What is put at the front, or was appended last, is told apart."""

    __slots__ = ("_front", "_last", "_queue")

    def __init__(self) -> None:
        """Nothing is ready."""
        self._front: deque[Delivery] = deque()
        self._queue: FairQueue[Delivery] = FairQueue()
        self._last: Delivery | None = None

    def __len__(self) -> int:
        """How many are ready."""
        return len(self._front) + len(self._queue) + (self._last is not None)

    def append(self, delivery: Delivery) -> None:
        """Add one behind those of its priority."""
        self._settle_last()
        self._last = delivery

    def extend(self, deliveries: Iterable[Delivery]) -> None:
        """Add several, in their order."""
        for delivery in deliveries:
            self.append(delivery)

    def appendleft(self, delivery: Delivery) -> None:
        """Put one before all others."""
        self._front.appendleft(delivery)

    def pop(self) -> Delivery:
        """Take back the one that was appended last; it must not have been taken since."""
        delivery, self._last = self._last, None
        assert delivery is not None, "only what was just appended is taken back"
        return delivery

    def popleft(self) -> Delivery:
        """Take the next one. Raises IndexError if nothing is ready."""
        if self._front:
            return self._front.popleft()
        self._settle_last()
        return self._queue.pop()

    def _settle_last(self) -> None:
        if self._last is not None:
            priority = PRIORITY if self._last.turn is None else self._last.turn.priority
            self._queue.push(self._last, priority=priority)
            self._last = None
