"""Who waits outside any execution for the answer to a request: clients that asked, or that started a workflow."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, final

from onstage.runtime.waiters import Waiters

if TYPE_CHECKING:
    from onstage.ports.store import EventView, Store

__all__ = ["Replies"]


@final
class Replies:
    """Told by the mailboxes. An answer is handed out when it is durable, never before."""

    def __init__(self, store: Store) -> None:
        """Answers to requests of this store."""
        self._store = store
        self._waiters: Waiters[None] = Waiters()
        self._arrived: deque[tuple[int, int]] = deque()

    def arrived(self, position: int, about: int) -> None:
        """An answer to request number `about` was appended at `position`."""
        self._arrived.append((position, about))  # whoever begins to wait before it is durable is told as well

    def durable(self, position: int) -> None:
        """What arrived up to this position can be read from the store."""
        while self._arrived and self._arrived[0][0] <= position:
            self._waiters.tell(self._arrived.popleft()[1], None)

    async def answer(self, about: int, timeout_s: float | None) -> EventView | None:
        """The answer to request number `about`, as soon as it is durable; None if there is none within `timeout_s`.

        Raises StoreUnavailable if the node is stopped meanwhile.
        """
        loop = asyncio.get_running_loop()
        give_up = None if timeout_s is None else loop.time() + timeout_s
        while True:
            waiter = self._waiters.begin(about)
            try:
                found = await self._store.reader.answer(about)
                if found is not None:
                    return found
                async with asyncio.timeout_at(give_up):
                    await waiter
            except TimeoutError:
                return await self._store.reader.answer(about)
            finally:
                self._waiters.forget(about, waiter)

    def close(self) -> None:
        """Nobody will be told any more."""
        self._waiters.close()
