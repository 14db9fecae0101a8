"""Code of the user's that has suspended: driven on, in its own context, by the task that began it.

Whoever runs code of the user's runs it up to its first suspension without a task for it. If it ends before, that was
all. Else the task that began it awaits a `Suspended`, and stays with it to its end: so `asyncio.timeout`, task groups
and cancellation find one and the same current task from the first line to the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from onstage.runtime.foreign_await import foreign_await

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

    from onstage.runtime.frame import Frame

__all__ = ["Suspended"]


@final
class Suspended:
    """Drives a coroutine that has suspended, future by future, inside the task that awaits this."""

    __slots__ = ("_context", "_coroutine", "_first", "_frame")

    def __init__(self, frame: Frame, coroutine: Coroutine[Any, Any, Any], context: Context, first: Any) -> None:
        """`first` is what the coroutine waits for, `context` that in which it runs."""
        self._frame = frame
        self._coroutine = coroutine
        self._context = context
        self._first = first

    def __await__(self) -> Generator[Any, Any, Any]:
        """Answer what the coroutine returns, or raise what it raises; a cancellation is thrown into it."""
        run, coroutine, frame = self._context.run, self._coroutine, self._frame
        waiting_for = self._first
        step: Callable[[Any], Any]
        while True:
            if frame.active == 0:
                foreign_await(frame)
            argument: Any
            try:
                answer = yield waiting_for
            except BaseException as error:  # noqa: BLE001  a cancellation belongs to the handler
                step, argument = coroutine.throw, error
            else:
                step, argument = coroutine.send, answer
            try:
                waiting_for = run(step, argument)
            except StopIteration as stop:
                return stop.value
