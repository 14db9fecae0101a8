"""The tasks of branches: one for each, but one for all plain steps of a gather that never suspend.

Theory of operation. A branch that is nothing but a call of a step suspends before its effect, at the barrier. If all
branches of a gather are such, they wait there once, together, in one task: what led to the gather is durable then, and
they are `cleared`. What one of them does is no cause of another. They begin in their order, and as long as each ends
without suspending, the next begins in the same task, without a turn of the loop. The first that suspends keeps the task
to its end, and each one behind it gets a task of its own. So the current task is that of one branch alone, from its
first line to its last, and each has a context of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from onstage.runtime.branch import BRANCH
from onstage.runtime.call import Call
from onstage.runtime.frame import Park
from onstage.runtime.suspended import Suspended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from onstage.runtime.branch import Branch
    from onstage.runtime.frame import Frame

__all__ = ["start"]

Works = deque[tuple["Branch", "Awaitable[Any]"]]


def start(frame: Frame, branches: Iterable[Branch], works: Iterable[Awaitable[Any]], *, together: bool) -> None:
    """Begin the branches in the next turn of the loop, in their order; `together` if none of them may end another."""
    pairs = deque(zip(branches, works, strict=True))
    calls = [work for _, work in pairs if isinstance(work, Call) and _runs_at_once(frame, work)] if together else []
    if len(calls) < len(pairs):
        _each_alone(frame, pairs)
        return
    for call in calls:
        call.is_handed_over = True
    _in_task(frame, _one_by_one(frame, pairs))


def _in_task(frame: Frame, work: Any) -> asyncio.Task[Any]:
    if frame.branches is None:
        frame.branches = {}
    task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
    frame.branches[task] = None
    return task


async def _one_by_one(frame: Frame, works: Works) -> None:
    task = asyncio.current_task()
    assert task is not None, "`start` has made one"
    await _clear(frame, works)
    while works and not task.cancelling():
        branch, work = works.popleft()
        branch.task, context = task, copy_context()
        coroutine = _run(frame, branch, work)
        context.run(BRANCH.set, branch)
        try:
            first = context.run(coroutine.send, None)
        except StopIteration:
            continue
        _each_alone(frame, works)
        await Suspended(frame, coroutine, context, first)
    _each_alone(frame, works)  # one that has ended has left its cancellation behind


def _each_alone(frame: Frame, works: Works) -> None:
    while works:
        branch, work = works.popleft()
        branch.task = copy_context().run(_alone, frame, branch, work)


def _alone(frame: Frame, branch: Branch, work: Awaitable[Any]) -> asyncio.Task[Any]:
    BRANCH.set(branch)
    return _in_task(frame, _run(frame, branch, work))


async def _run(frame: Frame, branch: Branch, work: Awaitable[Any]) -> None:
    branch.started = True
    try:
        branch.value = await work
        if branch.runs_code and frame.parked is None and not branch.stopped:
            missing = frame.execution.missing(branch.root)
            if missing is not None:
                frame.diverge(missing)
    except GeneratorExit:  # the loop is gone
        raise
    except BaseException as error:  # noqa: BLE001  whoever waits for the branch decides what it means
        branch.error = error
    frame.ends(branch)


def _runs_at_once(frame: Frame, call: Call[Any]) -> bool:
    return call.unmarked is not None and frame.execution.at(call.unmarked) is None


async def _clear(frame: Frame, works: Works) -> None:
    """Wait until what led here is durable; if it never will be, each branch meets the reason by itself."""
    try:
        await frame.decided()
        frame.driver.save(frame)
        frame.barred = frame.reaction.patient = True
        await frame.barrier()
    except asyncio.CancelledError as error:  # the node closes: none of them begins
        for branch, _ in works:
            branch.error = error
            frame.ends(branch)
        raise
    except (Park, Exception):  # noqa: BLE001  it is raised in every branch again
        return
    for branch, _ in works:
        branch.cleared = True
