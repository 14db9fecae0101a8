"""A process, as whoever began or joined it holds it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, final

from onstage.events.duration import seconds

if TYPE_CHECKING:
    from onstage.observe.verdict import Verdict

__all__ = ["ProcessHandle"]

Duration = str | timedelta | float


class _Watching(Protocol):
    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict: ...


@final
class ProcessHandle:
    """A process that was begun or joined: its public id, and what may be said about it."""

    __slots__ = ("_ways", "id")

    def __init__(self, id: str, ways: _Watching) -> None:
        """Made by `emit` and `process` only."""
        self.id = id
        self._ways = ways

    async def verdict(self, *, timeout: Duration | None = 0) -> Verdict:
        """Wait for a final verdict for at most `timeout` (None: for ever), then answer the present one.

        What it says is durable. Raises LookupError if there is no such process.
        """
        return await self._ways.verdict_on(self.id, None if timeout is None else seconds(timeout))

    def __repr__(self) -> str:
        """The public id."""
        return f"Process[{self.id}]"
