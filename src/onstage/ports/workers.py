"""Where work runs that must not run on the loop: the writer, and synchronous steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Workers"]

R = TypeVar("R")


class Workers(Protocol):
    """One writer, in order, and a pool for synchronous steps. A simulation runs both inline."""

    def submit(self, work: Callable[[], None], *, delay_s: float = 0.0) -> None:
        """Run `work` on the writer, after everything submitted before it, at the earliest in `delay_s` seconds."""
        ...

    def post(self, callback: Callable[[], None]) -> None:
        """Run `callback` on the loop soon; called from the writer."""
        ...

    async def run(self, function: Callable[[], R]) -> R:
        """Run a synchronous function off the loop and wait for its result. It is never abandoned half way."""
        ...

    async def close(self) -> None:
        """Finish what was submitted without delay, then stop. Safe to call twice."""
        ...
