"""Undoes the finished steps of a rejected execution: the last one first, durably, from the journal."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from onstage.core.journal import Abandoned, Attempted, Begun, Stepped, Undone
from onstage.core.retry import HANDLER_RETRY, delay
from onstage.errors import OperationError
from onstage.events.codec import DecodeFailed
from onstage.runtime.call import active
from onstage.runtime.frame import INSIDE_STEP, Frame, Park

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onstage.runtime.step import Step

__all__ = [
    "REJECTED",
    "attempt_undo",
    "before_undo",
    "is_skipped",
    "then_rejected",
    "undo_abandoned",
    "undo_once",
    "undo_position",
    "undo_step",
    "undo_steps",
]

T = TypeVar("T")

Finished = Stepped | Abandoned | Begun
REJECTED: Final = object()


async def then_rejected(frame: Frame) -> Any:
    """What runs once an execution has rejected, or is cancelled: its undo steps; answers `REJECTED`.

    If the whole process is undone for it, these have their turn after all that was caused by them.
    """
    if not await frame.driver.node.waves.takes_over(frame):
        await undo_steps(frame)
    return REJECTED


async def undo_once(frame: Frame, entry: Finished, of: Frame | None = None) -> None:
    """Run the undo of one step, unless that is recorded. It is retried; spent, the execution is set aside.

    `of` is the frame whose step it was, if that is another one: keys and resources are those of that execution.
    """
    position = undo_position(entry.position)
    if isinstance(frame.execution.at(position), Undone):
        return
    if not is_skipped(frame, position):
        with active(frame):
            await _undo(frame, entry, position, of or frame)
    frame.driver.tell(frame, Undone(position))


def is_skipped(frame: Frame, position: str) -> bool:
    """Whether an operator has said that this undo counts as done; what they said goes with what is told next."""
    completions = frame.driver.node.completions
    return completions.knows(frame.delivery.id, position) and completions.take(frame, position, 0) is not None


def undo_position(position: str) -> str:
    """Where the undo of the step at this position is recorded."""
    return f"undo/{position}"


async def undo_steps(frame: Frame, path: str = "") -> None:
    """Run every undo that is due and not yet recorded, in reverse order of the steps.

    With a `path` these are the steps in that scope. Each undo is retried like a handler; spent, the execution is set
    aside, and a retry resumes at this undo.
    """
    driver = frame.driver
    renewal = frame.execution.renewal
    recorded = (*(renewal.finished if renewal else ()), *frame.execution.entries())
    finished = [entry for entry in recorded if isinstance(entry, Stepped | Abandoned) and entry.undo]
    for entry in reversed(finished):
        if entry.position.startswith(path):
            await undo_once(frame, entry)
    driver.save(frame)


async def undo_abandoned(frame: Frame, entry: Abandoned) -> None:
    """Undo a step of a branch that has lost its race, and end the branch."""
    branch = frame.here()
    assert branch is not None, "only a branch loses a race"
    if entry.undo:
        branch.stopped = False  # its undo may take several attempts
        try:
            await undo_once(frame, entry)
        finally:
            branch.stopped = True
    raise asyncio.CancelledError


async def before_undo(frame: Frame) -> None:
    """An undo is about to run: what has led to it must be on disk first. In a rehearsal nothing is undone."""
    frame.driver.save(frame)
    await frame.barrier()


async def _undo(frame: Frame, entry: Finished, position: str, of: Frame) -> None:
    step = await undo_step(frame, entry.undo or "", position)
    await attempt_undo(frame, step, position, lambda: _run(step, frame, entry, position, of))


async def undo_step(frame: Frame, name: str, position: str) -> Step[..., Any]:
    """The step with this journaled name, once an attempt at `position` is due and all that led to it is on disk.

    Raises OperationError if the application has none.
    """
    driver, earlier = frame.driver, frame.execution.at(position)
    if isinstance(earlier, Attempted) and earlier.due > driver.node.clock.now_ms():
        await frame.park(Park(earlier.due, retrying=True))
    await driver.before_undo(frame)
    step = driver.node.steps.get(name)
    if step is None or step.undo is None:
        raise OperationError(
            f"the undo of {name} cannot be found\n  why: no handler's module of this app has that step\n"
            "  to do: import the step in the module of its handler, then `onstage dead retry`"
        )
    return step


async def attempt_undo(
    frame: Frame, step: Step[..., Any], position: str, act: Callable[[], Awaitable[T]], what: str = "the undo of"
) -> T:
    """One attempt at `position`; if it fails, the execution parks until the next, or is set aside after the last."""
    driver, earlier = frame.driver, frame.execution.at(position)
    now, attempts = driver.node.clock.now_ms(), earlier.attempts if isinstance(earlier, Attempted) else 0
    try:
        return await act()
    except Exception as error:
        text = str(error) or type(error).__name__
        pause = delay(HANDLER_RETRY, attempts + 1, error, driver.node.clock.chance())
        if not isinstance(pause, timedelta):
            driver.tell(frame, Attempted(position, 0, 0, 0, text, now))
            raise OperationError(f"{what} {step.name} failed {attempts + 1} times: {text}") from error
        due = driver.node.clock.now_ms() + round(pause.total_seconds() * 1000)
        driver.tell(frame, Attempted(position, 0, attempts + 1, due, text, now))
        await frame.park(Park(due, retrying=True))
        raise AssertionError("a parked call does not go on") from error


async def _run(step: Step[..., Any], frame: Frame, entry: Finished, position: str, of: Frame) -> None:
    version = step.version if isinstance(entry, Begun) else entry.version
    try:
        result = None if isinstance(entry, Begun) else step.recorded_result(entry.result, entry.version)
        arguments = step.recorded_arguments(entry.call or b"[]", version)
    except DecodeFailed as error:
        to_do = f"give it version={version + 1}, and the way there with @upcast({step.name}, ...)"
        frame.diverge(
            f"the undo of {step.name} cannot be given what was recorded: {error}\n"
            f"  why: it was recorded as version {version} ({step.where})\n  to do: {to_do}\n  at: {position}"
        )
    mark = INSIDE_STEP.set((of, position))
    try:
        undo, named = step.undo, step.keywords_of(arguments)
        assert undo is not None, "only steps with an undo are undone"
        plain = arguments[: len(arguments) - len(named)]
        if inspect.iscoroutinefunction(undo):
            await undo(result, *plain, **named)
            return
        await frame.driver.node.run_in_thread(lambda: undo(result, *plain, **named))
    finally:
        INSIDE_STEP.reset(mark)
