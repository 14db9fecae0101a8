"""A durable call that was made: an awaitable, not a coroutine, with its position taken when it was made."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar, final

from onstage.errors import AwaitedTwice, InsideStep, NotInExecution
from onstage.runtime.branch import Branch
from onstage.runtime.frame import CURRENT, INSIDE_STEP, Frame

__all__ = ["Call", "active", "calling_frame", "required_frame"]

R = TypeVar("R")


@final
class Call(Generic[R]):
    """A durable call: await it once. `asyncio.gather` over several runs them side by side."""

    __slots__ = ("_frame", "_name", "_start", "_used", "is_handed_over", "unmarked")

    def __init__(
        self,
        name: str,
        start: Callable[[], Coroutine[Any, Any, R]],
        frame: Frame | None = None,
        *,
        unmarked: str | None = None,
    ) -> None:
        """`start` begins it when it is awaited; `frame` is the execution it was made in.

        `unmarked` is the position of a step that records nothing before it runs.
        """
        if frame is not None:
            frame.made += 1
        self._frame = frame
        self._name = name
        self._start = start
        self._used = False
        self.unmarked = unmarked
        self.is_handed_over = False  # it will be awaited, unless its node ends before

    def __await__(self) -> Generator[Any, Any, R]:
        """Do it, or answer what is recorded. Raises AwaitedTwice the second time."""
        if self._used:
            raise AwaitedTwice(
                f"{self._name} was awaited twice\n  why: a call is one durable effect\n"
                "  to do: call it again for a second one, or keep the result"
            )
        self._used = True
        if self._frame is not None:
            self._frame.made -= 1
        return self._start().__await__()

    def __del__(self) -> None:
        """Say so if it was never awaited: nothing has happened. A handler that parks or fails may not come to it."""
        frame = self._frame
        if not (self._used or self.is_handed_over) and (frame is None or not (frame.closed or frame.parked)):
            warnings.warn(f"{self._name} was called and never awaited", RuntimeWarning, stacklevel=2)


def calling_frame(name: str) -> Frame | None:
    """The execution in which a durable call is being made; None outside. Refuses calls that cannot have a position."""
    inside = INSIDE_STEP.get()
    if inside is not None:
        raise InsideStep(
            f"{name} was called inside a step ({inside[1]})\n  why: a step is one effect, recorded as a whole\n"
            f"  to do: call {name} from the handler, or {name}.fn(...) if the plain function is meant"
        )
    frame = CURRENT.get()
    if frame is None:
        return None
    if frame.parked is not None:
        raise frame.parked
    if frame.closed:
        raise _ended(name, frame)
    branch = frame.here()
    if branch is not None and frame.is_own(branch):
        frame.execution.enter(branch.path)
        return frame
    if branch is not None or (frame.task is not None and asyncio.current_task() is not frame.task):
        raise NotInExecution(
            f"{name} was called in a task that is not the handler's own ({frame.reaction.name})\n"
            "  why: its position among the durable calls would depend on timing\n"
            "  to do: make the calls in the handler and give them to onstage.gather or asyncio.gather"
        )
    return frame


def required_frame(name: str, mend: str) -> Frame:
    """As `calling_frame`, but it raises NotInExecution outside one: `mend` says what to do there."""
    frame = calling_frame(name)
    if frame is None:
        raise NotInExecution(
            f"{name}(...) was called outside a handler\n  why: there is no execution whose journal could record it\n"
            f"  to do: {mend}"
        )
    return frame


def _ended(name: str, frame: Frame) -> NotInExecution:
    return NotInExecution(
        f"{name} was called after {frame.reaction.name} had ended\n"
        "  why: a task that outlives its handler has no journal\n  to do: await the task in the handler"
    )


@final
class active:  # noqa: N801  a context manager, read as a word
    """Counts a durable call of a frame as under way."""

    __slots__ = ("_branch", "_frame", "_own")

    def __init__(self, frame: Frame) -> None:
        """A call of this frame."""
        self._frame = frame
        self._branch: Branch | None = None

    def __enter__(self) -> None:
        """It begins; while the execution parks, it unwinds like all others."""
        if self._frame.parked is not None:
            raise self._frame.parked
        if self._frame.closed:
            raise _ended("a durable call", self._frame)
        self._branch = branch = self._frame.here()
        if branch is None:
            self._frame.active += 1
        else:
            self._begin_in(branch)
            if self._own:
                return  # its task is known
        self._frame.note_branch()

    def _begin_in(self, branch: Branch) -> None:
        self._own = self._frame.is_own(branch)
        if self._own:
            branch.calls += 1
            if branch.weight:
                return  # it weighs what it does without this call
        else:
            branch.aside += 1
            self._frame.active += 1
        self._frame.weigh(branch)

    def _end_in(self, branch: Branch) -> None:
        if self._own:
            branch.calls -= 1
            if not (branch.aside or branch.joining or branch.ended):
                return
        else:
            branch.aside -= 1
            self._frame.active -= 1
        self._frame.weigh(branch)

    def __exit__(self, *_: object) -> None:
        """It ended: if all others are blocked, the execution can park."""
        if self._branch is None:
            self._frame.active -= 1
        else:
            self._end_in(self._branch)
        if self._frame.blocked or self._frame.ended:
            self._frame.settle_blocked()
