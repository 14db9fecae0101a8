"""Who is next among those who wait: priorities without starvation, and turns by tenant within a priority.

Theory of operation. There are ten levels, and each holds a queue for every tenant that has something in it. A pop takes
the highest level that is not empty, and there the tenant whose turn it is; what has had its turn goes to the end of
the round. A level that was passed over `PASSED_OVER_MAX` times is next, however much waits above it. Push and pop are
O(1) in the number of items and tenants, and a tenant without items costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["PASSED_OVER_MAX", "PRIORITY", "PRIORITY_MAX", "FairQueue"]

T = TypeVar("T")

PRIORITY: Final = 4
"""The priority of whatever declares none."""

PRIORITY_MAX: Final = 9
"""The highest priority; 0 is the lowest."""

PASSED_OVER_MAX: Final = 16
"""How often a level is passed over at most while something waits in it."""


@final
class FairQueue(Generic[T]):
    """Items by priority, then by turns of their tenants, then in order."""

    __slots__ = ("_filled", "_length", "_passed", "_rounds")

    def __init__(self) -> None:
        """Nothing waits."""
        self._rounds: list[OrderedDict[Hashable, deque[T]]] = [OrderedDict() for _ in range(PRIORITY_MAX + 1)]
        self._passed = [0] * (PRIORITY_MAX + 1)
        self._filled = 0  # a bit for each level that is not empty
        self._length = 0

    def __len__(self) -> int:
        """How many items wait."""
        return self._length

    @property
    def top(self) -> int:
        """The highest level in which something waits, -1 if nothing does."""
        return self._filled.bit_length() - 1

    @property
    def tenants(self) -> int:
        """How many queues there are, over all levels."""
        return sum(map(len, self._rounds))

    def push(self, item: T, *, tenant: Hashable = None, priority: int = PRIORITY) -> None:
        """Add an item at the end of its tenant's queue. `priority` is 0 to `PRIORITY_MAX`."""
        tenants = self._rounds[priority]
        queue = tenants.get(tenant)
        if queue is None:
            queue = tenants[tenant] = deque()
            self._filled |= 1 << priority
        queue.append(item)
        self._length += 1

    def pop(self) -> T:
        """Take the next item. Raises IndexError if nothing waits."""
        if not self._length:
            raise IndexError("nothing waits")
        level = self._next_level()
        tenants = self._rounds[level]
        tenant, queue = next(iter(tenants.items()))
        item = queue.popleft()
        self._length -= 1
        if queue:
            tenants.move_to_end(tenant)
        else:
            self._forget(level, tenant)
        return item

    def remove(self, *, tenant: Hashable, priority: int) -> bool:
        """Remove all items of a tenant from a level; answers whether there were any."""
        queue = self._rounds[priority].get(tenant)
        if queue is None:
            return False
        self._length -= len(queue)
        self._forget(priority, tenant)
        return True

    def _forget(self, level: int, tenant: Hashable) -> None:
        tenants = self._rounds[level]
        del tenants[tenant]
        if not tenants:
            self._filled &= ~(1 << level)
            self._passed[level] = 0

    def _next_level(self) -> int:
        top = self.top
        if self._filled == 1 << top:
            return top
        passed, chosen = self._passed, top
        for level in range(top - 1, -1, -1):
            if not self._filled >> level & 1:
                continue
            if chosen == top and passed[level] >= PASSED_OVER_MAX:
                chosen = level
            passed[level] += 1
        passed[chosen] = 0
        return chosen
