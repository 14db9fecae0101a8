"""Branches of an execution: `gather`, `race` and `spawn`.

Each branch runs in a task (see `branch_tasks`) while the execution runs, and is nothing but its entries while it is
parked. A branch is a made call, or a coroutine in which durable calls are made.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Generator, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, final, overload

from onstage.core.branches import branch_path
from onstage.core.journal import Abandoned, Raced, Undone
from onstage.core.requests import DivergedAnswer, RaceRequest, Recorded
from onstage.errors import NotInExecution, OperationError, UsageError
from onstage.runtime.branch import Branch
from onstage.runtime.branch_tasks import start
from onstage.runtime.call import Call, calling_frame
from onstage.runtime.cancelling import pass_on
from onstage.runtime.frame import Frame
from onstage.runtime.task_end import end_tasks

__all__ = ["Spawned", "gather", "race", "rest_of", "spawn", "unheard_failure"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
T = TypeVar("T")
Work: TypeAlias = Call[T] | Coroutine[Any, Any, T]


# --- gather -----------------------------------------------------------------------------------------------


@overload
def gather(a: Work[A], /) -> Call[tuple[A]]: ...
@overload
def gather(a: Work[A], b: Work[B], /) -> Call[tuple[A, B]]: ...
@overload
def gather(a: Work[A], b: Work[B], c: Work[C], /) -> Call[tuple[A, B, C]]: ...
@overload
def gather(a: Work[A], b: Work[B], c: Work[C], d: Work[D], /) -> Call[tuple[A, B, C, D]]: ...
@overload
def gather(a: Work[A], b: Work[B], c: Work[C], d: Work[D], e: Work[E], /) -> Call[tuple[A, B, C, D, E]]: ...
@overload
def gather(
    a: Work[A], b: Work[B], c: Work[C], d: Work[D], e: Work[E], f: Work[F], /
) -> Call[tuple[A, B, C, D, E, F]]: ...
@overload
def gather(*branches: Work[T]) -> Call[tuple[T, ...]]: ...
def gather(*branches: Work[Any]) -> Call[Any]:
    """Run branches side by side, durably; answers all results, in the order of the branches.

    A branch is a durable call, or a coroutine in which durable calls are made: `gather(charge(...), pack(...))`. Each
    has positions of its own, so the execution may park and be replayed with some branches far ahead of others. All
    branches are waited for; then the failure of the first branch that failed, in their order, is raised. Outside an
    execution it simply runs.

    Raises UsageError for a branch that is neither.
    """
    _check("gather", branches)
    frame = calling_frame("gather")
    if frame is None:
        return Call("gather", partial(_plain_gather, branches))
    return Call("gather", partial(_gather, frame, frame.execution.make("gather"), branches), frame)


async def _gather(frame: Frame, position: str, works: Sequence[Work[Any]]) -> tuple[Any, ...]:
    here, is_own = _forked(frame)
    branches = _opened(frame, position, works, under=here.path if is_own else None, together=True)
    await frame.join(branches)
    for branch in branches:
        frame.execution.join(branch.root, here.path)
    return tuple(_result(frame, branch, here) for branch in branches)


async def _plain_gather(works: Sequence[Work[Any]]) -> tuple[Any, ...]:
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return tuple(results)


# --- race -------------------------------------------------------------------------------------------------


@overload
def race(a: Work[A], /) -> Call[A]: ...
@overload
def race(a: Work[A], b: Work[B], /) -> Call[A | B]: ...
@overload
def race(a: Work[A], b: Work[B], c: Work[C], /) -> Call[A | B | C]: ...
@overload
def race(a: Work[A], b: Work[B], c: Work[C], d: Work[D], /) -> Call[A | B | C | D]: ...
@overload
def race(a: Work[A], b: Work[B], c: Work[C], d: Work[D], e: Work[E], /) -> Call[A | B | C | D | E]: ...
@overload
def race(a: Work[A], b: Work[B], c: Work[C], d: Work[D], e: Work[E], f: Work[F], /) -> Call[A | B | C | D | E | F]: ...
@overload
def race(*branches: Work[T]) -> Call[T]: ...
def race(*branches: Work[Any]) -> Call[Any]:
    """Run branches side by side, durably; answers what the first to finish returned, or raises what it raised.

    Which one that was is recorded, once and for all. The others are stopped at the durable call they are in: a wait
    takes no event, a sleep is forgotten, a step that runs is finished, recorded as abandoned, and undone if it has an
    undo. The execution does not end before that. Outside an execution it simply runs, and cancels the others.

    Raises UsageError for a branch that is neither a durable call nor a coroutine, and for no branch at all.
    """
    _check("race", branches)
    if not branches:
        raise UsageError("race was given no branch\n  why: nobody could win\n  to do: give it at least one")
    frame = calling_frame("race")
    if frame is None:
        return Call("race", partial(_plain_race, branches))
    return Call("race", partial(_race, frame, frame.execution.make("race"), branches), frame)


async def _race(frame: Frame, position: str, works: Sequence[Work[Any]]) -> Any:
    here, is_own = _forked(frame)
    now_ms = frame.driver.node.clock.now_ms()
    answer = frame.execution.ask(position, RaceRequest(), now_ms, aside=not is_own, branch=here.path)
    if isinstance(answer, DivergedAnswer):
        frame.diverge(answer.diff)
    winner: Branch | None = None
    branches = _opened(frame, position, works, under=here.path if is_own else None)
    if isinstance(answer, Recorded):
        assert isinstance(answer.entry, Raced), "`ask` lets nothing else through"
        winner = branches[answer.entry.winner]
        _lose(frame, branches, winner)
        await frame.join([winner])

    def decide(branch: Branch) -> None:
        nonlocal winner
        if winner is not None or frame.parked is not None or branch.stopped or _is_cancelled(branch):
            return
        winner = branch
        frame.execution.tell(Raced(position, branches.index(branch)))
        frame.driver.save_soon(frame)
        _lose(frame, branches, winner)

    for branch in branches:
        branch.on_end = decide
    while winner is None and (running := sum(not branch.ended for branch in branches)):
        await frame.join(branches, len(branches) - running + 1)
    if winner is None:
        raise asyncio.CancelledError
    frame.execution.join(winner.root, here.path)
    return _result(frame, winner, here)


def _lose(frame: Frame, branches: Sequence[Branch], winner: Branch) -> None:
    for branch in branches:
        if branch is winner:
            continue
        frame.stop(branch, lost=True)
        assert frame.spawned is not None, "there are branches"
        frame.spawned.append(branch)


def _is_cancelled(branch: Branch) -> bool:
    return isinstance(branch.error, asyncio.CancelledError)


async def _plain_race(works: Sequence[Work[Any]]) -> Any:
    tasks = [asyncio.ensure_future(_awaited(work)) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        await end_tasks(*tasks)


async def _awaited(work: Work[T]) -> T:
    return await work


# --- spawn ------------------------------------------------------------------------------------------------


@final
class Spawned(Generic[T]):
    """A branch that runs beside the code that has spawned it. Await it, as often as you like, for its result."""

    __slots__ = ("_branch", "_frame", "_plain")

    def __init__(self, frame: Frame | None, branch: Branch | None, plain: asyncio.Future[T] | None) -> None:
        """A branch of this execution, or outside one a task."""
        self._frame = frame
        self._branch = branch
        self._plain = plain

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait until it has ended; answers its result, or raises its failure."""
        if self._plain is not None:
            return self._plain.__await__()
        return self._joined().__await__()

    async def _joined(self) -> T:
        frame, branch = self._frame, self._branch
        assert frame is not None, "outside an execution there is a task"
        assert branch is not None, "outside an execution there is a task"
        here, _ = _forked(frame)
        await frame.join([branch])
        branch.seen = True
        frame.execution.join(branch.root, here.path)
        result: T = _result(frame, branch, here)
        return result


def spawn(branch: Work[T], /) -> Spawned[T]:
    """Run a branch beside the code that follows, durably; await what this answers for its result.

    The execution ends when its spawned branches have: after the handler has returned they are waited for, and a failure
    that nobody has awaited fails the execution's attempt. What the handler returns is emitted after that. Outside an
    execution it is an asyncio task.

    Raises UsageError for a branch that is neither a durable call nor a coroutine.
    """
    _check("spawn", (branch,))
    frame = calling_frame("spawn")
    if frame is None:
        return Spawned(None, None, asyncio.ensure_future(_awaited(branch)))
    position = frame.execution.make("spawn")
    frame.fork()
    (opened,) = _opened(frame, position, (branch,), under=None)
    assert frame.spawned is not None, "there are branches"
    frame.spawned.append(opened)
    return Spawned(frame, opened, None)


async def rest_of(frame: Frame, result: Any) -> Any:
    """The handler has returned: wait for the branches that are still open; answers its result.

    A branch that has lost its race and awaits something that is not durable is cancelled there.
    """
    if frame.parked is not None:  # the handler has swallowed it
        await frame.rest()
        return result
    while frame.open:
        for branch in tuple(frame.open):
            if branch.lost and branch.stopped:  # else it is undoing what it did after it had lost
                frame.stop(branch, lost=True)
        await frame.join(tuple(frame.open))
    error = unheard_failure(frame)
    if error is not None:
        raise error
    return result


def unheard_failure(frame: Frame) -> BaseException | None:
    """What fails an attempt whose handler has returned; None if nothing does.

    It is a failure of a spawned branch that nobody has awaited, or an undo in a branch that has lost its race which did
    not end, since something has cancelled it. Of an execution that was rejected all is undone, whatever its branches
    came to.
    """
    if frame.parked is not None or frame.execution.rejected is not None:
        return None
    for branch in frame.spawned or ():
        error = branch.error
        is_over = branch.seen or (branch.stopped and isinstance(error, asyncio.CancelledError))
        if error is None or is_over or (branch.lost and not isinstance(error, OperationError)):
            continue
        frame.execution.join(branch.root, "")
        return error
    recorded = {entry.position: entry for entry in frame.execution.entries()}
    for entry in recorded.values():
        owed = isinstance(entry, Abandoned) and entry.undo
        if owed and not isinstance(recorded.get(f"undo/{entry.position}"), Undone):
            return RuntimeError(f"the undo of {entry.position} did not end: something has cancelled it")
    return None


# --- what they have in common -----------------------------------------------------------------------------


def _check(name: str, works: Sequence[object]) -> None:
    for work in works:
        if isinstance(work, Call) or inspect.iscoroutine(work):
            continue
        for other in works:
            if inspect.iscoroutine(other):
                other.close()
        raise UsageError(
            f"{name} was given {type(work).__qualname__}\n"
            "  why: a branch is a durable call or a coroutine, so that it can be made again on replay\n"
            f"  to do: write {name}(charge(...)), or {name}(branch(...)) with `async def branch`"
        )


def _forked(frame: Frame) -> tuple[Branch, bool]:
    """The branch that opens others, and whether it waits for them itself: not in a task of the user's."""
    if frame.parked is not None:
        raise frame.parked
    if frame.closed:
        raise NotInExecution(
            f"branches were opened after {frame.reaction.name} had ended\n  why: they have no journal\n"
            "  to do: await them in the handler"
        )
    here = frame.fork()
    return here, frame.is_own(here)


def _opened(
    frame: Frame, position: str, works: Sequence[Work[Any]], *, under: str | None, together: bool = False
) -> list[Branch]:
    recorded = frame.execution.opened_at(position)
    if recorded > len(works):
        for work in works:
            if inspect.iscoroutine(work):
                work.close()
        frame.diverge(f"the code opens {len(works)} branches at {position}, the journal has {recorded}")
    here = frame.fork()
    branches = [
        Branch(branch_path(position, index), runs_code=not isinstance(work, Call)) for index, work in enumerate(works)
    ]
    assert frame.open is not None, "the execution has branches"
    for branch in branches:
        frame.execution.open(branch.path, under)
        branch.aborted, branch.lost = here.aborted, here.lost
        branch.shielded = (frame if here is frame.main else here).shielded
        branch.stopped = here.stopped or here.aborted > 0
        frame.open[branch] = None
        frame.weigh(branch)
    here.children += branches
    if branches:
        start(frame, branches, works, together=together)
    return branches


def _result(frame: Frame, branch: Branch, here: Branch) -> Any:
    if branch.error is not None:
        pass_on(frame, branch.error, here)
        raise branch.error
    return branch.value
