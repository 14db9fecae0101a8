"""Who waits on the loop for something that has a number, until it is told or the node stops."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar, final

from onstage.errors import StoreUnavailable

__all__ = ["Waiters"]

T = TypeVar("T")


@final
class Waiters(Generic[T]):
    """Any number of waiters for each number. Whoever began to wait forgets its waiter when it waits no longer."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._waiting: dict[int, list[asyncio.Future[T | None]]] = {}
        self._closed = False

    def __len__(self) -> int:
        """For how many numbers somebody waits."""
        return len(self._waiting)

    def __contains__(self, number: int) -> bool:
        """Whether somebody waits for this number."""
        return number in self._waiting

    def begin(self, number: int) -> asyncio.Future[T | None]:
        """A new waiter for this number. Raises StoreUnavailable once they are closed."""
        if self._closed:
            raise StoreUnavailable("the node was stopped\n  why: it waits for nothing any more\n  to do: ask again")
        waiter: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(number, []).append(waiter)
        return waiter

    def tell(self, number: int, result: T | None) -> None:
        """Give all that wait for this number a result."""
        for waiter in self._waiting.pop(number, ()):
            if not waiter.done():
                waiter.set_result(result)

    def forget(self, number: int, waiter: asyncio.Future[T | None]) -> None:
        """This waiter, which may have been told, waits no longer."""
        waiters = self._waiting.get(number)
        if waiters is None or waiter not in waiters:
            return
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[number]

    def close(self) -> None:
        """Tell everybody None: nobody will be told anything any more."""
        self._closed = True
        for number in tuple(self._waiting):
            self.tell(number, None)
