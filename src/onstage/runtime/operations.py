"""What an operator does to an execution that was set aside: retry it at the failed step, or drop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.core import lifecycle
from onstage.core.commit import Commit, RefusedBecause, event_of, handler_of
from onstage.core.lifecycle import Input
from onstage.errors import UsageError
from onstage.events.delayed import LATER
from onstage.events.receipt import Receipt, Status, token
from onstage.ports.store import Refused
from onstage.runtime.answering import failure_said
from onstage.runtime.batching import members_in
from onstage.runtime.emission import NOTHING
from onstage.runtime.forking import refuse_if_forked

if TYPE_CHECKING:
    from onstage.ports.store import ExecutionView, Stored
    from onstage.runtime.emission import Emission
    from onstage.runtime.node import Node

__all__ = ["commit_of", "follow", "operate", "with_members"]

_DONE: Final = {"retry": "retried", "drop": "dropped"}
_INPUTS: Final = {"retry": Input.RESUME, "drop": Input.DROP, "cancel": Input.CALL_OFF}
_TOLD: Final = {"retry": "is tried again", "drop": "was dropped", "cancel": "will not emit it"}


async def operate(node: Node, action: str, execution: int) -> str:
    """Retry or drop one dead letter, or cancel one delayed event; durable when this returns.

    A retry resumes at the failed step with a new budget and the same idempotency key. A drop writes the obligation
    off: it is settled as dropped, and its lane opens. A delayed event that is cancelled is never emitted. Raises
    UsageError if the execution is not set aside (or is not a delayed event's), or somebody else was quicker.
    """
    if action not in _INPUTS:
        raise UsageError(f"there is no action {action}\n  why: it is none of retry, drop, cancel\n  to do: choose one")
    await node.settle_window()
    stored = await node.store.reader.execution(execution)
    if stored is None:
        raise UsageError(f"there is no execution {execution}\n  why: the number is wrong\n  to do: `onstage dead ls`")
    view = stored.execution
    if action == "cancel":
        _refuse_if_not_kept(view)
    elif Status(view.status) not in (Status.PARKED, Status.DIVERGED):
        raise UsageError(
            f"execution {execution} is {Status(view.status).label}\n"
            f"  why: only what was set aside can be {_DONE[action]}\n"
            "  to do: `onstage dead ls` lists what is set aside"
        )
    if action == "retry":
        await refuse_if_forked(node, execution, "retried")
    status = lifecycle.advance(Status(view.status), _INPUTS[action])
    reaction = node.reactions.get(handler_of(execution))
    signed = None if reaction is None else await node.recovery.signed(reaction, stored.event)
    emission = None
    if status is Status.DROPPED and view.gating and reaction is not None and reaction.responding is not None:
        failure = ("dropped", (view.error or "").partition("\n")[0])
        emission = failure_said(node, reaction, (view.process, stored.event.n), node.names_of(stored.event), failure)
    error = "called off by an operator" if action == "cancel" else None
    commit = commit_of(node, stored, status, error=error, signed=signed, emission=emission)
    if not status.is_open:
        await with_members(node, stored, commit)
    position = node.append(commit, emission)
    node.dispatcher.flush_soon()
    try:
        await node.store.durable(position)
    except Refused as refused:
        if refused.refusal.because != RefusedBecause.CONFLICT:
            raise
        raise UsageError(
            f"execution {execution} was dealt with meanwhile\n  why: somebody else was quicker\n"
            "  to do: look at it again with `onstage dead ls`"
        ) from None
    for member in commit.also:
        node.open.pop(member, None)
    await follow(node, view, status)
    return f"{view.handler} {_TOLD[action]}"


def _refuse_if_not_kept(view: ExecutionView) -> None:
    if view.handler != LATER or view.status != Status.READY:
        raise UsageError(
            f"execution {view.id} keeps no delayed event\n"
            f"  why: it is {view.handler}, {Status(view.status).label}; only what waits in {LATER} can be cancelled\n"
            "  to do: `onstage timers` lists what is due, with the numbers of delayed events"
        )


def commit_of(
    node: Node,
    stored: Stored,
    status: Status,
    *,
    error: str | None = None,
    signed: str | None = None,
    emission: Emission | None = None,
) -> Commit:
    """The commit that gives a stored execution another status and adds nothing to its journal.

    `error` replaces the one that it has, `signed` is the name under which its obligation was opened, if it had another.
    An `emission` is what its end says to whoever asked.
    """
    now, view, said = node.clock.now_ms(), stored.execution, emission or NOTHING
    if error is None and status is not Status.READY:
        error = view.error
    names = node.names_of(stored.event)
    event, number = event_of(view.id), handler_of(view.id)
    delta = 0
    if not status.is_open and view.gating:
        public = names or node.numbers.names(view.process, event)
        delta = token(*public, signed or view.handler, view.segment) ^ said.delta
    receipt = Receipt(
        view.process,
        event,
        number,
        view.segment,
        status,
        node.numbers.hlc,
        delta.to_bytes(16, "big"),
        tuple(said.outputs),
        now,
        now,
        error=error,
        names=names,
    )
    return Commit(
        execution=view.id,
        process=view.process,
        gating=view.gating,
        epoch=node.epoch,
        expected=view.length,
        status=status,
        segment=view.segment,
        started=view.started,
        ended=now,
        code=view.code,
        error=error,
        attempts=0,
        events=said.events,
        opened=said.opened,
        mail=said.mail,
        receipts=(receipt, *said.receipts),
    )


async def with_members(node: Node, stored: Stored, commit: Commit) -> None:
    """Let what is dropped take its batch along: each member is settled in the same commit."""
    for member in members_in(stored.entries):
        each = await node.store.reader.execution(member)
        assert each is not None, "a batch names what is stored"
        reaction = node.reactions.get(handler_of(member))
        signed = None if reaction is None else await node.recovery.signed(reaction, each.event)
        own = commit_of(node, each, Status(commit.status), error=commit.error, signed=signed)
        commit.also, commit.receipts = (*commit.also, member), (*commit.receipts, *own.receipts)


async def follow(node: Node, view: ExecutionView, status: Status) -> None:
    """Bring the memory of a running node in line with the row of an execution that got this status from outside."""
    delivery = node.open.get(view.id)
    if delivery is None:
        if node.dispatches:
            await node.recovery.take_up(view.id)
        return
    if status is Status.READY:
        if delivery.parked:
            delivery.after = 0
            node.unpark(delivery)
        return
    node.open.pop(view.id, None)
    node.dispatcher.release_lane(delivery)
    node.dispatcher.wake()
