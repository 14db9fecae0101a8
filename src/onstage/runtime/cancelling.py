"""Cancelling one execution: a mark that a commit makes, and that its next durable call sees.

The mark is a note under the execution's number. It is no part of the journal, so it never competes with a run that is
going on. What runs or is parked is told at its next durable call, which records where (`CancelSeen`) and in the same
commit marks the children that are still awaited: a crash leaves none of them behind. Each branch is told once: by a
call of its own, or by the `Cancelled` of a branch that it waits for. What has not begun, or was set aside, ends without
running its handler. The commit that ends the execution takes the mark away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.core.branches import made_in
from onstage.core.commit import Commit, Note, Notes, execution_id, handler_of
from onstage.core.journal import Answered, Asked, CancelSeen, Rejected
from onstage.core.lifecycle import Input
from onstage.errors import Cancelled, UsageError
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.answering import failure_said
from onstage.runtime.batching import members_in
from onstage.runtime.forking import refuse_if_forked
from onstage.runtime.operations import commit_of, with_members

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onstage.core.execution import Execution
    from onstage.core.journal import Entry
    from onstage.ports.store import Stored
    from onstage.runtime.branch import Branch
    from onstage.runtime.delivery import Delivery
    from onstage.runtime.emission import Emission
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = [
    "ACTIONS",
    "MARK",
    "Marks",
    "act",
    "cancel",
    "cancel_note",
    "control",
    "end_unbegun",
    "ends_as",
    "give_up",
    "has_not_begun",
    "is_due",
    "is_elsewhere",
    "observe",
    "open_children",
    "pass_on",
    "terminate",
    "was_set_aside",
]

MARK: Final = "cancel"
"""The topic of the notes that mark an execution; their number is its number."""
PAGE: Final = 1000
TERMINATIONS_MAX: Final = 20
"""So often a termination is tried against a run that goes on committing."""
_SET_ASIDE: Final = (Status.PARKED, Status.DIVERGED)


class Marks:
    """Which executions of a node are to end, as far as they are open."""

    def __init__(self, node: Node) -> None:
        """For this node; `load` reads what its store knows."""
        self._node = node
        self._marked: set[int] = set()

    async def load(self) -> None:
        """Learn the marks of an earlier life."""
        after = -1
        while page := await self._node.store.reader.notes(MARK, after=after, limit=PAGE):
            self._marked |= {note.number for note in page}
            after = page[-1].number

    @property
    def elsewhere(self) -> list[int]:
        """The marked children that run on other stores, and were not told yet."""
        return [each for each in self._marked if is_elsewhere(each)]

    def noted(self, executions: Iterable[int]) -> list[Note]:
        """The marks of executions that the commit which holds these notes opens."""
        found = [cancel_note(each) for each in executions]
        self._marked |= {note.number for note in found}
        return found

    def has(self, execution: int) -> bool:
        """Whether this execution is to end."""
        return execution in self._marked

    def ended(self, execution: int) -> Notes | None:
        """What the commit that ends an execution forgets."""
        if execution not in self._marked:
            return None
        self._marked.discard(execution)
        return Notes(dropped=[(MARK, execution, execution)])

    def made(self, executions: Iterable[int], position: int) -> None:
        """Marks were appended at `position`: tell the executions."""
        executions = tuple(executions)
        if self._node.exchange is not None:
            self._node.exchange.asking.cancels(executions)
        for execution in executions:
            self._marked.add(execution)
            delivery = self._node.open.get(execution)
            if delivery is not None:
                delivery.cancelled = True
                self._node.nudge(delivery, position)


# --- from outside -----------------------------------------------------------------------------------------


async def control(node: Node, action: str, event: int) -> str:
    """Do `action` (one of `ACTIONS`) to the execution that answers event number `event`; durable when this returns.

    With "cancel" the root of a process that nobody answers stands for that process; with "undo" each root does, once
    the process has ended. Raises UsageError if there is no such action or it cannot be, LookupError if there is nothing
    to do it to.
    """
    if action == "undo":
        return await node.waves.request(event, "an operator has it undone", completed=True)
    await node.settle_window()
    stored = await node.store.reader.event(event)
    route = None if stored is None else node.routes.get(stored.type)
    for reaction in route.triggers if route is not None else ():
        if reaction.responding is not None:
            return await act(node, action, execution_id(event, reaction.number))
    if action == "cancel" and stored is not None and stored.process == event:
        return await node.waves.request(event, "cancelled by an operator")
    raise LookupError(f"nothing on this store answers event {event}")


async def act(node: Node, action: str, execution: int) -> str:
    """Do `action` to one execution. Raises as `control` does."""
    if action not in ACTIONS:
        raise UsageError(f"there is no action {action}\n  why: it is none of {', '.join(ACTIONS)}\n  to do: choose one")
    return await ACTIONS[action](node, execution)


async def cancel(node: Node, execution: int) -> str:
    """Cancel one execution; the mark, or the end, is durable when this returns. Raises as `control` does."""
    await node.settle_window()
    stored = await _open(node, execution, "cancelled")
    await refuse_if_forked(node, execution, "cancelled")
    handler = stored.execution.handler
    if has_not_begun(node, stored):
        position = await end_unbegun(node, stored, "cancelled", "before it began")
        await node.store.durable(position)
        return f"{handler} was cancelled before it began"
    if node.marks.has(execution):
        return f"{handler} is being cancelled already"
    position = node.append(Commit(epoch=node.epoch, notes=Notes([cancel_note(execution)])), None)
    node.marks.made([execution], position)
    node.dispatcher.wake()
    node.dispatcher.flush_soon()
    await node.store.durable(position)
    return f"{handler} is cancelled at its next durable call"


async def terminate(node: Node, execution: int) -> str:
    """End one execution at once: nothing is undone, and its handler sees nothing of it. Raises as `control` does.

    Its children are cancelled. A step that runs at this moment goes on to its end, and nobody records its result.
    """
    for _ in range(TERMINATIONS_MAX):
        await node.settle_window()
        stored = await _open(node, execution, "terminated")
        children = open_children(stored.entries)
        position = await _end(node, stored, "terminated", "by an operator", marks=children)
        if execution not in node.dispatcher.running:
            _forget(node, execution)
        try:
            await node.store.durable(position)
        except Refused:
            continue  # its run has committed something meanwhile
        for member in members_in(stored.entries):
            node.open.pop(member, None)
        node.marks.made(children, position)
        node.dispatcher.wake()
        return f"{stored.execution.handler} was terminated"
    raise UsageError(
        f"execution {execution} could not be terminated\n  why: its run commits faster than it can be ended\n"
        "  to do: cancel it, or stop the node first"
    )


ACTIONS: Final = {"cancel": cancel, "terminate": terminate}
"""What may be done to an execution that is open."""


async def _open(node: Node, execution: int, done: str) -> Stored:
    stored = await node.store.reader.execution(execution)
    if stored is None:
        raise LookupError(f"there is no execution {execution}")
    status = Status(stored.execution.status)
    if not status.is_open:
        raise UsageError(
            f"{stored.execution.handler} is {status.label}\n  why: what has ended cannot be {done}\n"
            "  to do: nothing; its result, if it has one, is there"
        )
    return stored


def has_not_begun(node: Node, stored: Stored) -> bool:
    """Whether an execution was never begun and is not about to be, so that it can be ended without its handler."""
    view = stored.execution
    if view.length or view.status != Status.READY or view.id in node.dispatcher.running:
        return False
    delivery = node.open.get(view.id)
    return not node.dispatches or (delivery is not None and not delivery.parked)


async def end_unbegun(node: Node, stored: Stored, kind: str, why: str) -> int:
    """End what has not begun, or will never run again; answers the position of the commit."""
    position = await _end(node, stored, kind, why)
    _forget(node, stored.execution.id)
    return position


async def _end(node: Node, stored: Stored, kind: str, why: str, marks: Iterable[int] = ()) -> int:
    """Append the commit that ends an execution without its handler; answers its position."""
    view, reaction = stored.execution, node.reactions.get(handler_of(stored.execution.id))
    signed = None if reaction is None else await node.recovery.signed(reaction, stored.event)
    emission: Emission | None = None
    if view.gating and reaction is not None and reaction.responding is not None:
        place = (view.process, stored.event.n)
        emission = failure_said(node, reaction, place, node.names_of(stored.event), (kind, why))
    commit = commit_of(node, stored, Status.CANCELLED, error=f"{kind} {why}", signed=signed, emission=emission)
    forgotten = node.marks.ended(view.id)
    await with_members(node, stored, commit)
    commit.notes = Notes([cancel_note(each) for each in marks], () if forgotten is None else forgotten.dropped)
    position = node.append(commit, emission)
    node.dispatcher.flush_soon()
    return position


def _forget(node: Node, execution: int) -> None:
    delivery = node.open.pop(execution, None)
    if delivery is None:
        return
    if delivery.parked:
        node.mailbox.leave(delivery)
        node.dispatcher.release_lane(delivery)
    else:
        node.dispatcher.dropped.add(execution)
    node.dispatcher.wake()


def is_elsewhere(execution: int) -> bool:
    """Whether this stands for a child that runs on another store: its start is known here, its execution is not."""
    return handler_of(execution) == 0


def cancel_note(execution: int) -> Note:
    """What marks an execution, in whatever commit it stands; `Marks.made` is to be told."""
    return Note(MARK, execution, b"")


# --- from inside ------------------------------------------------------------------------------------------


def is_due(frame: Frame, branch: Branch | None) -> bool:
    """Whether the next durable call of a run, in this branch, is to raise `Cancelled`."""
    if not frame.delivery.cancelled:
        return False
    if branch is None or branch is frame.main:
        return not frame.shielded and "" not in frame.execution.cancels
    return not (branch.shielded or branch.stopped) and branch.root not in frame.execution.cancels


async def observe(frame: Frame, position: str) -> None:
    """Record that the call at `position` tells its branch, mark the children that this awaits, and raise `Cancelled`.

    It does nothing if another call of the branch has told it meanwhile.
    """
    await frame.decided()
    if frame.parked is not None:
        raise frame.parked
    branch = frame.here()
    if not is_due(frame, branch):
        return
    root = "" if branch is None else branch.root
    frame.execution.tell(CancelSeen(f"{root}cancel", position))
    awaited = _awaited(frame.execution.entries()).items()
    mark_children(frame, [child for at, child in awaited if at == position or made_in(at) == root])
    raise Cancelled


def pass_on(frame: Frame, error: BaseException, into: Branch) -> None:
    """A branch has ended with `error`, which is raised in the one that waited: if it is `Cancelled`, that is told."""
    is_cancel = isinstance(error, BaseExceptionGroup) and error.subgroup(Cancelled) is not None
    if (is_cancel or isinstance(error, Cancelled)) and into.root not in frame.execution.cancels:
        frame.execution.tell(CancelSeen(f"{into.root}cancel", ""))
        frame.driver.save_soon(frame)


def mark_children(frame: Frame, children: Sequence[int]) -> None:
    """Commit what was told, with the marks of these children."""
    node = frame.driver.node
    position = frame.driver.commit(frame, Status.RUNNING, notes=Notes([cancel_note(child) for child in children]))
    node.marks.made(children, position)
    node.dispatcher.wake()
    node.dispatcher.flush_soon()


def open_children(entries: Iterable[Entry]) -> list[int]:
    """The executions that this journal started and still awaits."""
    return list(_awaited(entries).values())


def _awaited(entries: Iterable[Entry]) -> dict[str, int]:
    last = {entry.position: entry for entry in entries if isinstance(entry, Asked | Answered)}
    return {at: entry.child for at, entry in last.items() if isinstance(entry, Asked) and entry.child}


def give_up(frame: Frame, reason: str) -> None:
    """A cancel has left the handler, or ends it without running: from here on the execution only undoes.

    Children are marked that are awaited in branches which were not told.
    """
    frame.parked = None
    frame.execution.failed()
    frame.execution.tell(Rejected("reject", reason, cancelled=True))
    told = frame.execution.cancels
    awaited = _awaited(frame.execution.entries()).items()
    left = [child for at, child in awaited if made_in(at) not in told and at not in told.values()]
    if left or not told:
        mark_children(frame, left)


def ends_as(execution: Execution) -> tuple[Input, str]:
    """How an execution ends whose steps are undone, cancelled or rejected, and why."""
    entry = execution.rejected
    if entry is None:
        return Input.REJECT, "rejected"
    return Input.CANCEL if entry.cancelled else Input.REJECT, entry.reason


def was_set_aside(delivery: Delivery, status: int) -> bool:
    """Whether an execution that is to end had been set aside, so that its handler is not run again."""
    return delivery.cancelled and Status(status) in _SET_ASIDE
