"""Skipping: an operator says what a step came to that is stuck, and its execution goes on with that.

What is said is kept as the completion of a step is (`runtime/completion.py`): the call takes it when its execution
comes there again, in the commit that records it. A dead letter is taken up again in the very commit that keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from onstage.core import lifecycle
from onstage.core.journal import Begun, Stepped, Undone
from onstage.core.lifecycle import Input
from onstage.core.outcome import Outcome
from onstage.core.segments import segments_of
from onstage.core.skippable import Skippable, name_of, named, open_steps, open_undos
from onstage.core.undoing import UNDO
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.runtime.forking import refuse_if_forked
from onstage.runtime.operations import commit_of, follow
from onstage.runtime.undo_runs import decode_order

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.ports.store import Reader, Stored
    from onstage.runtime.node import Node

__all__ = ["execution_with", "skip", "skippable"]

_NOTHING: Final = b"null"
PAGE: Final = 1000
_SET_ASIDE: Final = (Status.PARKED, Status.DIVERGED)


async def skippable(reader: Reader, stored: Stored, finishes: frozenset[str] | None = None) -> list[Skippable]:
    """The steps of an execution, or of the segment that it undoes, that an operator may skip; none if it has ended.

    `finishes` names the steps in doubt that are brought to their end before they are undone; None: all of them.
    """
    view = stored.execution
    if not Status(view.status).is_open:
        return []
    if view.handler != UNDO:
        return open_steps(stored.entries, view.error if view.status in _SET_ASIDE else None)
    order = decode_order(stored.event.data)
    of = await reader.execution(order.execution)
    assert of is not None, "what is undone is stored"
    dues = segments_of(of.entries)[order.segment].dues
    doubtful = [due for due in dues if isinstance(due.entry, Begun)]
    first = [due.position for due in doubtful if finishes is None or due.entry.undo in finishes]
    return open_undos(stored.entries, dues, first)


async def execution_with(reader: Reader, process: int, step: str) -> int:
    """The number of the execution in which this step of a process is stuck, or was skipped before.

    Raises UsageError if there is none, or more than one.
    """
    stuck: list[Stored] = []
    ended: list[Stored] = []
    others: list[str] = []
    after = 0
    while page := await reader.executions(process=process, after=after, limit=PAGE):
        after = page[-1].id
        for view in page:
            stored = await reader.execution(view.id)
            assert stored is not None, "an execution stays"
            found = await skippable(reader, stored)
            others += [each.step for each in found]
            if named(found, step):
                stuck.append(stored)
            elif any(_means(step, e.position) and isinstance(e, Stepped | Undone) for e in stored.entries):
                ended.append(stored)
    undos = [each for each in ended if each.execution.handler == UNDO]
    candidates = stuck or undos or ended
    if len(candidates) == 1:
        return candidates[0].execution.id
    if candidates:
        places = ", ".join(f"{each.execution.id} ({each.execution.handler})" for each in candidates)
        _refuse(f"{step} stands for a step in {len(candidates)} executions", "each may be meant", f"name one: {places}")
    why = f"stuck are: {', '.join(dict.fromkeys(others))}" if others else "nothing of it is stuck"
    _refuse(f"no step {step} of this process can be skipped", why, "`onstage show KEY` has its steps")


async def skip(node: Node, execution: int, step: str, data: bytes | None) -> str:
    """Have a step that is stuck count as done with this result (JSON), or its undo as done; durable when this returns.

    `step` is its name or its whole position. Saying the same twice is well. Raises UsageError if no such step of this
    execution is stuck or it is not clear which is meant, and for a result that does not fit it.
    """
    await node.settle_window()
    stored = await node.store.reader.execution(execution)
    if stored is None:
        _refuse(f"there is no execution {execution}", "the number is wrong", "`onstage show KEY` has the numbers")
    late = frozenset(name for name, each in node.steps.items() if each.in_doubt == "undo")
    found = named(await skippable(node.store.reader, stored, frozenset(node.steps) - late), step)
    if data is None:  # nobody knows what it came to: then it is not brought to an end first
        found = [each for each in found if each.is_undo] or found
    if stored.execution.handler == UNDO:
        found = found[:1]  # they are undone in this order: the first one is stuck
    if len(found) != 1:
        return await _otherwise(node, stored, step, data, found)
    if stored.execution.handler != UNDO:
        await _refuse_running(node, stored, step)
    (meant,) = found
    if not meant.is_undo and data is None:
        _refuse(f"step {meant.step} has no result", "its handler goes on with one", "give it: --result JSON")
    result = _NOTHING if meant.is_undo else await _checked(node, stored, meant, data or b"")
    await _keep(node, stored, meant, result)
    return _told(meant.step, is_undo=meant.is_undo)


async def _keep(node: Node, stored: Stored, meant: Skippable, result: bytes) -> None:
    view = stored.execution
    outcome = Outcome(view.id, meant.taken_at, 0, result)
    if Status(view.status) not in _SET_ASIDE:
        await node.completions.keep(outcome, f"step {meant.step} of {view.handler}")
        return
    status = lifecycle.advance(Status(view.status), Input.RESUME)
    commit = commit_of(node, stored, status)
    await node.completions.keep(outcome, f"step {meant.step} of {view.handler}", commit)
    await follow(node, view, status)


async def _checked(node: Node, stored: Stored, meant: Skippable, data: bytes) -> bytes:
    """The result as the step would have recorded it. Raises UsageError if it does not fit."""
    execution = stored.execution.id
    if stored.execution.handler == UNDO:
        execution = decode_order(stored.event.data).execution
    return node.completions.as_result(execution, meant.step, data)


async def _refuse_running(node: Node, stored: Stored, step: str) -> None:
    view = stored.execution
    if view.status == Status.DIVERGED:
        why = "its journal does not fit its code, and no result of a step mends that"
        _refuse(f"execution {view.id} has diverged", why, "mend the code, then `onstage dead retry`")
    await refuse_if_forked(node, view.id, "skipped")
    delivery = node.open.get(view.id)
    if delivery is not None and node.waves.stops(delivery):
        why = "its process is undone, and nothing of it goes on"
        _refuse(f"step {step} cannot be skipped", why, "`onstage show` says what is being undone")


async def _otherwise(node: Node, stored: Stored, step: str, data: bytes | None, found: list[Skippable]) -> str:
    """It is not clear which step is meant, or none is stuck: then it may be that this was said before."""
    view = stored.execution
    if found:
        places = ", ".join(each.step for each in found)
        _refuse(f"{step} stands for {len(found)} steps of execution {view.id}", "each may be meant", f"name {places}")
    for outcome in node.completions.of(view.id):
        if _means(step, outcome.position) and outcome.data in (data, _NOTHING):
            return _told(_plain(outcome.position), is_undo=outcome.data == _NOTHING)
    for entry in reversed(stored.entries):
        if _means(step, entry.position) and _is_so(node, view.id, entry, data):
            return _told(_plain(entry.position), is_undo=isinstance(entry, Undone))
    open_now = ", ".join(dict.fromkeys(each.step for each in await skippable(node.store.reader, stored)))
    why = f"of {view.handler} there is stuck: {open_now}" if open_now else f"no step of {view.handler} is stuck"
    _refuse(f"no step {step} of execution {view.id} can be skipped", why, "`onstage show` has its journal")


def _means(step: str, position: str) -> bool:
    return step in (_plain(position), name_of(position))


def _plain(position: str) -> str:
    return position.removeprefix("undo/").removeprefix("finish/")


def _is_so(node: Node, execution: int, entry: Entry, data: bytes | None) -> bool:
    if isinstance(entry, Undone):
        return True
    if not isinstance(entry, Stepped) or data is None:
        return False
    return entry.result == node.completions.as_result(execution, entry.position, data)


def _told(step: str, *, is_undo: bool) -> str:
    return f"the undo of step {step} counts as done" if is_undo else f"step {step} counts as done with this result"


def _refuse(what: str, why: str, mend: str) -> NoReturn:
    raise UsageError(f"{what}\n  why: {why}\n  to do: {mend}")
