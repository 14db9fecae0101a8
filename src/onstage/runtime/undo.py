"""Undoes the finished steps of a rejected execution: the last one first, durably, from the journal."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from onstage.core.journal import Abandoned, Attempted, Stepped, Undone
from onstage.core.retry import HANDLER_RETRY, delay
from onstage.errors import OperationError
from onstage.events.codec import DecodeFailed
from onstage.runtime.call import active
from onstage.runtime.frame import INSIDE_STEP, Frame, Park

if TYPE_CHECKING:
    from onstage.runtime.step import Step

__all__ = ["REJECTED", "then_rejected", "undo_abandoned", "undo_steps"]

Finished = Stepped | Abandoned
REJECTED: Final = object()


async def then_rejected(frame: Frame) -> Any:
    """What runs once an execution has rejected, or is cancelled: its undo steps; answers `REJECTED`."""
    await undo_steps(frame)
    return REJECTED


async def undo_steps(frame: Frame, path: str = "") -> None:
    """Run every undo that is due and not yet recorded, in reverse order of the steps.

    With a `path` these are the steps in that scope. Each undo is retried like a handler; spent, the execution is set
    aside, and a retry resumes at this undo.
    """
    driver = frame.driver
    renewal = frame.execution.renewal
    recorded = (*(renewal.finished if renewal else ()), *frame.execution.entries())
    finished = [entry for entry in recorded if isinstance(entry, Finished) and entry.undo]
    for entry in reversed(finished):
        if entry.position.startswith(path):
            await _undo_once(frame, entry)
    driver.save(frame)


async def undo_abandoned(frame: Frame, entry: Abandoned) -> None:
    """Undo a step of a branch that has lost its race, and end the branch."""
    branch = frame.here()
    assert branch is not None, "only a branch loses a race"
    if entry.undo:
        branch.stopped = False  # its undo may take several attempts
        try:
            await _undo_once(frame, entry)
        finally:
            branch.stopped = True
    raise asyncio.CancelledError


async def _undo_once(frame: Frame, entry: Finished) -> None:
    position = f"undo/{entry.position}"
    if isinstance(frame.execution.at(position), Undone):
        return
    with active(frame):
        await _undo(frame, entry, position)
    frame.driver.tell(frame, Undone(position))


async def _undo(frame: Frame, entry: Finished, position: str) -> None:
    driver = frame.driver
    now = driver.node.clock.now_ms()
    earlier = frame.execution.at(position)
    attempts = earlier.attempts if isinstance(earlier, Attempted) else 0
    if isinstance(earlier, Attempted) and earlier.due > now:
        await frame.park(Park(earlier.due, retrying=True))
    step = driver.node.steps.get(entry.undo or "")
    if step is None or step.undo is None:
        raise OperationError(
            f"the undo of {entry.undo} cannot be found\n  why: no handler's module of this app has that step\n"
            "  to do: import the step in the module of its handler, then `onstage dead retry`"
        )
    driver.save(frame)
    await frame.barrier()
    try:
        await _run(step, frame, entry, position)
    except Exception as error:
        text = str(error) or type(error).__name__
        pause = delay(HANDLER_RETRY, attempts + 1, error, driver.node.clock.chance())
        if not isinstance(pause, timedelta):
            driver.tell(frame, Attempted(position, 0, 0, 0, text, now))
            raise OperationError(f"the undo of {step.name} failed {attempts + 1} times: {text}") from error
        due = driver.node.clock.now_ms() + round(pause.total_seconds() * 1000)
        driver.tell(frame, Attempted(position, 0, attempts + 1, due, text, now))
        await frame.park(Park(due, retrying=True))


async def _run(step: Step[..., Any], frame: Frame, entry: Finished, position: str) -> None:
    assert step.undo is not None, "only steps with an undo are undone"
    try:
        result = step.recorded_result(entry.result, entry.version)
        arguments = step.recorded_arguments(entry.call or b"[]", entry.version)
    except DecodeFailed as error:
        to_do = f"give it version={entry.version + 1}, and the way there with @upcast({step.name}, ...)"
        frame.diverge(
            f"the undo of {step.name} cannot be given what was recorded: {error}\n"
            f"  why: it was recorded as version {entry.version} ({step.where})\n  to do: {to_do}\n  at: {position}"
        )
    mark = INSIDE_STEP.set((frame, position))
    try:
        undo, named = step.undo, step.keywords_of(arguments)
        plain = arguments[: len(arguments) - len(named)]
        if inspect.iscoroutinefunction(undo):
            await undo(result, *plain, **named)
            return
        await frame.driver.node.run_in_thread(lambda: undo(result, *plain, **named))
    finally:
        INSIDE_STEP.reset(mark)
