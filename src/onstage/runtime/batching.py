"""Batch handlers: one execution for up to so many events, each of which keeps an obligation of its own.

Theory of operation. New deliveries gather, in the order of the log. When enough have come, or the first has waited long
enough, the first one becomes the *leader*: it goes through lane and turnstile as any delivery does. When it begins, it
takes what has gathered by then as its *members*, and its journal's first entry says which these are: durable before its
first effect, so that every attempt, and every replay after a crash, has the same list. Members stay ready in the store,
and belong to their leader: the commit that settles it settles them too, in the same status, or is refused wholly. So no
crash leaves one out, and none is handled twice. A batch that fails is retried as a whole, and set aside as a whole: the
dead letter is the leader's, and its members wait for what becomes of it.

A batch handler has one lane for all keys, so that its batches run one after another, in order; with `concurrency=`
above 1 it has none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.core import lifecycle
from onstage.core.execution import Execution
from onstage.core.journal import Valued
from onstage.core.lifecycle import Input
from onstage.core.requests import DivergedAnswer, Recorded, ValueRequest
from onstage.errors import UsageError
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import OPEN_MAX, Receipt, Status, token
from onstage.ports.store import Refused
from onstage.runtime.call import active
from onstage.runtime.delivery import Turn
from onstage.runtime.error_text import said
from onstage.runtime.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onstage.contracts.flow_options import Flow
    from onstage.core.commit import Commit
    from onstage.core.journal import Entry
    from onstage.ports.store import EventView, ExecutionView
    from onstage.runtime.delivery import Delivery, Reaction
    from onstage.runtime.node import Node

__all__ = ["Batching", "members_in", "settle_members"]

LANE: Final = "\0batch"
_NAME: Final = "batch"
_DECODE: Final = msgspec.json.Decoder(tuple[int, ...]).decode


@final
class Batching:
    """What gathers for one batch handler."""

    def __init__(self, node: Node, reaction: Reaction, flow: Flow) -> None:
        """For a handler that takes a list."""
        self._node = node
        self._reaction = reaction
        self._size = flow.batch
        self._wait_s = flow.batch_wait_s
        self._lane = LANE if reaction.concurrency == 1 else None
        self._pending: dict[int, Delivery] = {}
        self._claims: dict[int, Delivery] = {}
        self._leader: Delivery | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many gather."""
        return len(self._pending)

    # Gathering.

    def collect(self, delivery: Delivery, turn: Turn, *, is_new: bool) -> bool:
        """Take over a delivery that never began."""
        leader = self._claims.pop(delivery.id, None)
        if leader is not None and leader.turn is not None:
            leader.turn.members = (*leader.turn.members, delivery)
            return True
        if is_new:
            turn.since = self._node.clock.now_ms()
            delivery.data = None  # it is read when its batch begins
        if not turn.since:
            return False
        delivery.lane = None
        self._pending[delivery.id] = delivery
        if len(self._pending) >= self._size or self._timer is None:
            self._look()
        return True

    async def recovered(self, delivery: Delivery, turn: Turn, view: ExecutionView, event: EventView) -> None:
        """What never began gathers again; what has a journal claims its members, which are taken up after it."""
        if not view.started and Status(view.status) is Status.READY:
            turn.since = hlc_ms(event.hlc)
            return
        leads = view.length and (Status(view.status) is not Status.PARKED or not self._reaction.parks)
        delivery.lane = self._lane if leads else None
        stored = await self._node.store.reader.execution(view.id) if view.length else None
        for member in members_in(() if stored is None else stored.entries):
            early = self._pending.pop(member, None)
            if early is not None:
                turn.members = (*turn.members, early)
            else:
                self._claims[member] = delivery

    def _look(self) -> None:
        """Let the next leader go if its time has come; else look again when it has."""
        if not self._pending:
            return
        leader = self._leader
        if leader is not None and self._node.open.get(leader.id) is leader and not leader.parked:
            self._look_in(self._wait_s)
            return
        first = next(iter(self._pending.values()))
        assert first.turn is not None, "it was collected"
        ahead_s = (first.turn.since - self._node.clock.now_ms()) / 1000 + self._wait_s
        if ahead_s > 0 and len(self._pending) < self._size:
            self._look_in(ahead_s)
            return
        del self._pending[first.id]
        self._leader = first
        first.turn.since = 0
        first.lane = self._lane
        self._node.dispatcher.offer(first)
        self._node.dispatcher.wake()
        if self._pending:
            self._look_in(self._wait_s)  # it may be gone before it begins, and then nobody else would look

    def _look_in(self, pause_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._look()

    def _take(self) -> list[Delivery]:
        """The members of a leader that begins: the oldest of what has gathered, as many as fit."""
        self._leader = None
        dropped = self._node.dispatcher.dropped
        taken: list[Delivery] = []
        while self._pending and len(taken) < self._size - 1:
            member = self._pending.pop(next(iter(self._pending)))
            if member.id in dropped:
                dropped.discard(member.id)
                continue
            taken.append(member)
        self._look()
        return taken

    # Running.

    async def events(self, frame: Frame, first: Any) -> list[Any]:
        """The events of the batch that begins, or goes on, in this frame; `first` is that of its own event."""
        turn = frame.delivery.turn
        assert turn is not None, "what comes through a turnstile has a turn"
        position = frame.execution.make(_NAME)
        answer = frame.execution.ask(position, ValueRequest(), self._node.clock.now_ms())
        if isinstance(answer, DivergedAnswer):
            frame.diverge(answer.diff)
        if isinstance(answer, Recorded):
            return [first, *[event for _, event in await self._decoded(frame, turn.members)]]
        if not turn.members:
            turn.members = tuple(self._take())
        turn.members = await self._durable(frame, turn.members)
        decoded = await self._decoded(frame, turn.members, aside=True)
        turn.members = tuple(member for member, _ in decoded)
        frame.driver.tell(frame, Valued(position, msgspec.json.encode([member.id for member in turn.members])))
        return [first, *[event for _, event in decoded]]

    def poisoned(self, delivery: Delivery) -> None:
        """The event of a leader cannot be decoded: it is set aside by itself, and the next batch may begin."""
        self._leader = None
        self._node.dispatcher.release_lane(delivery, after=delivery.after)
        delivery.lane = None
        asyncio.get_running_loop().call_soon(self._look)

    async def _durable(self, frame: Frame, members: Sequence[Delivery]) -> tuple[Delivery, ...]:
        """Wait until their events are durable; those whose commit was refused are left out."""
        with active(frame):
            kept = [member for member in members if await self._is_durable(member)]
        kept = [member for member in kept if self._node.open.get(member.id) is member]
        frame.after = max((frame.after, *(member.after for member in kept)))
        return tuple(kept)

    async def _is_durable(self, member: Delivery) -> bool:
        try:
            if member.after:
                await self._node.store.durable(member.after)
        except Refused:
            self._node.dispatcher.dropped.discard(member.id)
            return False
        return True

    async def _decoded(
        self, frame: Frame, members: Iterable[Delivery], *, aside: bool = False
    ) -> list[tuple[Delivery, Any]]:
        """Members with their events. What cannot be decoded is set aside by itself, or raises UsageError."""
        with active(frame):
            stored = [(member, await self._node.store.reader.event(member.n)) for member in members]
        decoded = []
        for member, event in stored:
            assert event is not None, "an obligation is written with its event"
            try:
                decoded.append((member, _event_of(member, event)))
            except Exception as error:
                if aside:
                    self._set_aside(member, said(error))
                    continue
                raise UsageError(
                    f"an event of this batch cannot be decoded any more: {said(error)}\n"
                    "  why: its class changed while the batch was open\n  to do: accept the old shape too"
                ) from error
        return decoded

    def _set_aside(self, member: Delivery, why: str) -> None:
        frame = Frame(member, self._reaction, self._node.driver, member.after, self._node.clock.now_ms(), Execution())
        status = lifecycle.advance(Status.READY, Input.FAIL)
        self._node.driver.commit(frame, status, error=f"poison: the event cannot be decoded: {why}")
        frame.closed = True
        member.parked = member.resumed = True
        member.turn = Turn(priority=0 if member.turn is None else member.turn.priority, is_retry=True)


def _event_of(member: Delivery, stored: EventView) -> Any:
    if member.type is None:
        raise ValueError(f"no class of this application is {stored.type} version {stored.version}")
    return member.type.decode(stored.data)


def members_in(entries: Iterable[Entry]) -> tuple[int, ...]:
    """The executions that belong to the batch with this journal."""
    for entry in entries:
        if isinstance(entry, Valued) and entry.position == f"{_NAME}#0":
            return _DECODE(entry.value)
    return ()


def settle_members(node: Node, frame: Frame, commit: Commit) -> None:
    """Let the commit that settles a batch settle its members, each with a receipt."""
    turn = frame.delivery.turn
    if turn is None or not turn.members or commit.status <= OPEN_MAX:
        return
    commit.also = tuple(member.id for member in turn.members)
    commit.receipts = (*commit.receipts, *(_receipt(node, member, commit) for member in turn.members))
    for member in turn.members:
        node.open.pop(member.id, None)


def _receipt(node: Node, member: Delivery, commit: Commit) -> Receipt:
    names = member.names or node.numbers.names(member.process, member.n)
    name = member.signed or member.reaction.name
    delta = (member.token or token(*names, name, 0)) if member.reaction.gating else 0
    return Receipt(
        member.process,
        member.n,
        member.reaction.number,
        0,
        commit.status,
        node.numbers.hlc,
        delta.to_bytes(16, "big"),
        (),
        commit.started,
        commit.ended,
        commit.attempts,
        commit.error,
        names=member.names,
    )
