"""The undurable window: what the loop has appended and the disk does not have yet.

The loop's half of every store. Positions are handed out here, in the order of `append`; futures wait for them; when
the writer reports a batch, everything up to its position is settled at once.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, final

from onstage.core.commit import Commit, Refusal, RefusedBecause
from onstage.errors import StoreUnavailable
from onstage.ports.store import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.core.journal import Entry
    from onstage.ports.store import BatchOutcome

__all__ = ["KEPT_MAX", "Window"]

KEPT_MAX: Final = 1_000
"""How many refusals, and answers of transactions, are kept in full for those who ask late."""

_NOT_HANDED_OVER: Final = (
    "commits did not reach the writer, and nothing more is taken\n  why: an error of the machine or of Onstage\n"
    "  to do: restart the node, nothing accepted is lost"
)


@final
class Window:
    """Positions, the buffer in front of the writer, and who waits for what."""

    def __init__(self, hand_over: Callable[[list[Commit]], None]) -> None:
        """`hand_over` gives a list of commits to the writer."""
        self._hand_over = hand_over
        self._buffer: list[Commit] = []
        self._waiters: dict[int, list[asyncio.Future[Entry | None]]] = {}
        self._refused: dict[int, Refusal] = {}
        self._results: dict[int, Entry] = {}
        self._all_refused = array("q")  # every refused position, ascending: no refusal is ever taken for durable
        self.appended = 0
        self.settled = 0
        self.closed: str | None = None

    @property
    def undurable(self) -> int:
        """How many commits are appended and not yet durable."""
        return self.appended - self.settled

    def append(self, commit: Commit) -> int:
        """Give the commit the next position."""
        if self.closed is not None:
            raise StoreUnavailable(self.closed)
        self.appended += 1
        commit.position = self.appended
        self._buffer.append(commit)
        return self.appended

    def flush(self) -> None:
        """Hand the buffer to the writer."""
        if self._buffer:
            buffer, self._buffer = self._buffer, []
            try:
                self._hand_over(buffer)
            except BaseException:
                self.close(_NOT_HANDED_OVER)  # else later commits would be taken for durable with a gap before them
                raise

    async def durable(self, position: int) -> Entry | None:
        """Wait until `position` is settled."""
        if position <= self.settled:
            return self._answer(position)
        if self.closed is not None:
            raise StoreUnavailable(self.closed)
        future: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(position, []).append(future)
        return await future

    def settle(self, outcome: BatchOutcome) -> None:
        """The writer's report: wake everybody up to its position."""
        if self.closed is not None:
            return
        earlier, self.settled = self.settled, outcome.position
        for refusal in outcome.refused:
            self._refused[refusal.commit.position] = refusal
            self._all_refused.append(refusal.commit.position)
        self._results |= outcome.results
        if self._waiters:
            for position in range(earlier + 1, outcome.position + 1):
                for future in self._waiters.pop(position, ()):
                    self._tell(future, position, outcome)
        _trim(self._refused)
        _trim(self._results)

    def close(self, reason: str) -> None:
        """Nobody will settle anything any more: tell everybody that waits."""
        self.closed = reason
        waiters, self._waiters = self._waiters, {}
        for futures in waiters.values():
            for future in futures:
                if not future.done():
                    future.set_exception(StoreUnavailable(reason))

    def _tell(self, future: asyncio.Future[Entry | None], position: int, outcome: BatchOutcome) -> None:
        refused = self._refused.get(position)
        if future.done():
            return
        if refused is None:
            future.set_result(outcome.results.get(position))
        else:
            future.set_exception(Refused(refused))

    def _answer(self, position: int) -> Entry | None:
        refusal = self._refused.get(position)
        if refusal is not None:
            raise Refused(refusal)
        place = bisect_left(self._all_refused, position)
        if place < len(self._all_refused) and self._all_refused[place] == position:
            raise Refused(Refusal(Commit(position=position), RefusedBecause.FELLED))
        return self._results.get(position)


def _trim(kept: dict[int, Any]) -> None:
    while len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]
