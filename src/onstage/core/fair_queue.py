"""Who is next among those who wait: priorities without starvation, and turns by tenant within a priority.

Theory of operation. There are ten levels, and each holds a queue for every tenant that has something in it. A pop takes
the highest level that is not empty, and there the tenant whose turn it is; what has had its turn goes to the end of
the round. A level that was passed over `PASSED_OVER_MAX` times is next, however much waits above it. Push and pop are
O(1) in the number of items and tenants, and a tenant without items costs nothing.

What has begun before and goes on is told apart from what is new, since only that goes on while a rate holds back the
rest. So each level has two rounds, one of either kind. A line bears the number of its tenant's last turn, and a round
is in the order of these numbers: whose turn it is stands at the head of one of the two. A turn counts in both. A
tenant's own line of what has begun goes first, and delays nobody but that tenant.
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


class _Line(deque[T]):
    """What waits of one tenant, of one kind, in one level."""

    __slots__ = ("turn",)
    turn: int


@final
class _Rounds(Generic[T]):
    """The lines of one kind, by level and tenant; `filled` has a bit for each level that is not empty."""

    __slots__ = ("filled", "length", "levels")

    def __init__(self) -> None:
        self.levels: list[OrderedDict[Hashable, _Line[T]]] = [OrderedDict() for _ in range(PRIORITY_MAX + 1)]
        self.filled = 0
        self.length = 0

    def push(self, item: T, tenant: Hashable, level: int, turn: int) -> None:
        lines = self.levels[level]
        line = lines.get(tenant)
        if line is None:
            line = lines[tenant] = _Line()
            line.turn = turn
            self.filled |= 1 << level
        line.append(item)
        self.length += 1

    def had_turn(self, tenant: Hashable, level: int, turn: int) -> None:
        lines = self.levels[level]
        if tenant in lines:
            lines[tenant].turn = turn
            lines.move_to_end(tenant)

    def take(self, tenant: Hashable, level: int) -> T:
        line = self.levels[level][tenant]
        item = line.popleft()
        self.length -= 1
        if not line:
            self.forget(tenant, level)
        return item

    def forget(self, tenant: Hashable, level: int) -> None:
        lines = self.levels[level]
        self.length -= len(lines.pop(tenant))
        if not lines:
            self.filled &= ~(1 << level)


@final
class FairQueue(Generic[T]):
    """Items by priority, then by turns of their tenants, then what has begun, then in order."""

    __slots__ = ("_begun", "_new", "_passed", "_turn")

    def __init__(self) -> None:
        """Nothing waits."""
        self._new: _Rounds[T] = _Rounds()
        self._begun: _Rounds[T] = _Rounds()
        self._passed = [0] * (PRIORITY_MAX + 1)
        self._turn = 0

    def __len__(self) -> int:
        """How many items wait."""
        return self._new.length + self._begun.length

    @property
    def begun(self) -> int:
        """How many of them have begun before."""
        return self._begun.length

    @property
    def top(self) -> int:
        """The highest level in which something waits, -1 if nothing does."""
        return (self._new.filled | self._begun.filled).bit_length() - 1

    @property
    def tenants(self) -> int:
        """How many lines there are, over all levels and both kinds."""
        return sum(map(len, self._new.levels)) + sum(map(len, self._begun.levels))

    def push(self, item: T, *, tenant: Hashable = None, priority: int = PRIORITY, has_begun: bool = False) -> None:
        """Add an item at the end of its tenant's line. `priority` is 0 to `PRIORITY_MAX`."""
        if not (self._begun.filled | self._new.filled) >> priority & 1:
            self._passed[priority] = 0
        self._turn += 1
        (self._begun if has_begun else self._new).push(item, tenant, priority, self._turn)

    def pop(self, *, begun_only: bool = False) -> T:
        """Take the next item, or the next of those that have begun. Raises IndexError if there is none."""
        filled = self._begun.filled if begun_only else self._begun.filled | self._new.filled
        if not filled:
            raise IndexError("nothing waits")
        level = self._next_level(filled)
        tenant = self._whose_turn(level, begun_only=begun_only)
        self._turn += 1
        self._new.had_turn(tenant, level, self._turn)
        self._begun.had_turn(tenant, level, self._turn)
        return (self._begun if tenant in self._begun.levels[level] else self._new).take(tenant, level)

    def remove(self, *, tenant: Hashable, priority: int) -> bool:
        """Remove all items of a tenant from a level; answers whether there were any."""
        kinds = [each for each in (self._new, self._begun) if tenant in each.levels[priority]]
        for each in kinds:
            each.forget(tenant, priority)
        return bool(kinds)

    def _whose_turn(self, level: int, *, begun_only: bool) -> Hashable:
        begun, new = self._begun.levels[level], self._new.levels[level]
        first = next(iter(begun), None)
        if begun_only or not new:
            return first
        other = next(iter(new))
        return other if not begun or new[other].turn < begun[first].turn else first

    def _next_level(self, filled: int) -> int:
        top = filled.bit_length() - 1
        if filled == 1 << top:
            return top
        passed, chosen = self._passed, top
        for level in range(top - 1, -1, -1):
            if not filled >> level & 1:
                continue
            if chosen == top and passed[level] >= PASSED_OVER_MAX:
                chosen = level
            passed[level] += 1
        passed[chosen] = 0
        return chosen
