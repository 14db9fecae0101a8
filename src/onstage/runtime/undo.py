"""Undoes the finished steps of a rejected execution: the last one first, durably, from the journal."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from onstage.core.journal import Attempted, Stepped, Undone
from onstage.core.retry import HANDLER_RETRY, delay
from onstage.errors import OperationError
from onstage.runtime.call import active
from onstage.runtime.frame import INSIDE_STEP, Frame, Park

if TYPE_CHECKING:
    from onstage.runtime.step import Step

__all__ = ["REJECTED", "then_rejected", "undo_steps"]

REJECTED: Final = object()


async def then_rejected(frame: Frame) -> Any:
    """What runs once an execution has rejected, or is cancelled: its undo steps; answers `REJECTED`."""
    await undo_steps(frame)
    return REJECTED


async def undo_steps(frame: Frame) -> None:
    """Run every undo that is due and not yet recorded, in reverse order of the steps.

    Each undo is retried like a handler; spent, the execution is set aside, and a retry resumes at this undo.
    """
    driver = frame.driver
    recorded = (*frame.execution.before, *frame.execution.entries())
    finished = [entry for entry in recorded if isinstance(entry, Stepped) and entry.undo]
    for entry in reversed(finished):
        position = f"undo/{entry.position}"
        if isinstance(frame.execution.at(position), Undone):
            continue
        with active(frame):
            await _undo(frame, entry, position)
        driver.tell(frame, Undone(position))
    driver.save(frame)


async def _undo(frame: Frame, entry: Stepped, position: str) -> None:
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


async def _run(step: Step[..., Any], frame: Frame, entry: Stepped, position: str) -> None:
    assert step.undo is not None, "only steps with an undo are undone"
    result = step.result_codec.decode(entry.result)
    arguments = step.call_codec.decode(entry.call or b"[]")
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
