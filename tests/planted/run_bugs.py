"""Bugs planted in what runs handlers: replay, steps, undo, lanes, timers, mail, recovery, memory."""

import itertools
from typing import Any

import pytest

from onstage.core.execution import Execution
from onstage.core.journal import Slept, Stepped, Transacted, Undone, Valued, WaitEnded
from onstage.core.requests import (
    Look,
    Perform,
    StepRequest,
)
from onstage.events.receipt import Status
from onstage.runtime import calls, undo
from onstage.runtime.dispatcher import Dispatcher
from onstage.runtime.driver import Driver
from onstage.runtime.frame import Frame
from onstage.runtime.mailbox import Mailbox
from onstage.runtime.node import Node
from onstage.runtime.recovery import Recovery
from onstage.runtime.timer_loop import TimerLoop
from onstage.testing.world import outside

Patch = pytest.MonkeyPatch
EARLY_MS = 700


def recorded_step_runs_again(patch: Patch) -> None:
    """A step whose result is recorded is performed."""
    plain = Execution.ask

    def ask(self: Execution, position: str, request: Any, now_ms: int, **where: Any) -> Any:
        answer = plain(self, position, request, now_ms, **where)
        is_recorded = isinstance(request, StepRequest) and type(answer).__name__ == "Recorded"
        return Perform(1, begun=True) if is_recorded and position.startswith("charge") else answer

    patch.setattr(Execution, "ask", ask)


def replay_skips_an_entry(patch: Patch) -> None:
    """The last transaction of a journal is not replayed; it is counted."""
    plain = Execution._index

    def index(self: Execution, journal: Any) -> None:
        entries = list(journal)
        last = max((place for place, entry in enumerate(entries) if isinstance(entry, Transacted)), default=None)
        plain(self, entries if last is None else entries[:last] + entries[last + 1 :])
        self.length = len(entries)

    patch.setattr(Execution, "_index", index)


def chance_not_recorded(patch: Patch) -> None:
    """What `now`, `random` and `uuid` answered is not recorded."""
    plain = Driver.tell

    def tell(self: Driver, frame: Frame, entry: Any) -> None:
        if not isinstance(entry, Valued):
            plain(self, frame, entry)

    patch.setattr(Driver, "tell", tell)


def result_recorded_twice(patch: Patch) -> None:
    """A step's result is written to the journal twice."""
    plain = Execution.take_entries

    def take(self: Execution) -> Any:
        taken = plain(self)
        again = tuple(entry for entry in taken if isinstance(entry, Stepped | Slept))
        self.length += len(again)
        return taken + again

    patch.setattr(Execution, "take_entries", take)


def key_drawn_anew(patch: Patch) -> None:
    """Each attempt of a step has another idempotency key."""
    plain, numbers = calls.idempotency_key, itertools.count()
    patch.setattr(outside, "idempotency_key", lambda: f"{plain()}/{next(numbers)}")


def key_shared(patch: Patch) -> None:
    """Steps of different executions have the same idempotency key."""
    plain = calls.idempotency_key
    patch.setattr(outside, "idempotency_key", lambda: plain().partition("/")[2])


def dead_letter_dropped(patch: Patch) -> None:
    """What cannot go on is written off, and nobody is told."""

    def set_aside(self: Driver, frame: Frame, why: str, _: Any) -> None:
        self.commit(frame, Status.DROPPED, error=why)
        frame.closed = True
        self.node.settled(frame, Status.DROPPED)

    patch.setattr(Driver, "_set_aside", set_aside)


def undo_left_out(patch: Patch) -> None:
    """An undo is recorded and does not run."""

    async def skip(*_: Any) -> None:
        return None

    patch.setattr(undo, "_undo", skip)


def undo_forwards(patch: Patch) -> None:
    """The first step is undone first."""
    patch.setattr(undo, "reversed", iter, raising=False)


def undo_twice(patch: Patch) -> None:
    """Undoing that goes on after an interruption begins at its beginning."""
    plain = Execution.at

    def at(self: Execution, position: str) -> Any:
        entry = plain(self, position)
        return None if isinstance(entry, Undone) else entry

    patch.setattr(Execution, "at", at)


def no_lanes(patch: Patch) -> None:
    """Events of one key run side by side."""
    plain = Dispatcher.offer

    def offer(self: Dispatcher, delivery: Any) -> None:
        delivery.lane = None
        plain(self, delivery)

    patch.setattr(Dispatcher, "offer", offer)


def lanes_stay_closed(patch: Patch) -> None:
    """A lane is never released."""
    patch.setattr(Dispatcher, "release_lane", lambda *_: None)


def lane_released_twice(patch: Patch) -> None:
    """A run that waits releases its lane, and goes on as if it held it."""
    plain = Driver._settle

    def settle(self: Driver, frame: Frame, *rest: Any, **more: Any) -> None:
        delivery = frame.delivery
        self.node.dispatcher.release_lane(delivery)
        delivery.has_lane = delivery.lane is not None and delivery.lane in delivery.reaction.lanes
        plain(self, frame, *rest, **more)

    patch.setattr(Driver, "_settle", settle)


def timeouts_early(patch: Patch) -> None:
    """A wait gives up before its time."""
    plain = Execution._open_wait

    def hasty(self: Execution, *given: Any) -> Look:
        due = plain(self, *given).due
        return Look(None if due is None else due - EARLY_MS)

    patch.setattr(Execution, "_open_wait", hasty)


def timers_forgotten(patch: Patch) -> None:
    """Who sleeps when the node starts is not put on the heap."""

    def park(_: Recovery, delivery: Any, view: Any) -> None:
        delivery.parked, delivery.due = True, view.due

    patch.setattr(Recovery, "_park", park)


def timer_lost_among_others(patch: Patch) -> None:
    """Of two timers due at the same moment one fires."""
    plain = TimerLoop.add

    def add(self: TimerLoop, delivery: Any) -> None:
        if all(due != delivery.due for due, _ in self._heap):
            plain(self, delivery)

    patch.setattr(TimerLoop, "add", add)


def early_mail_lost(patch: Patch) -> None:
    """A wait does not see what came before it."""
    plain = Mailbox.find

    async def find(self: Mailbox, frame: Frame, types: Any, since: int) -> Any:
        return await plain(self, frame, types, since) if frame.delivery.nudged else None

    patch.setattr(Mailbox, "find", find)


def listeners_stay(patch: Patch) -> None:
    """Who has waited is kept in memory."""
    patch.setattr(Mailbox, "leave", lambda *_: None)


def open_not_cleaned(patch: Patch) -> None:
    """An execution that has ended after a pause stays in the node's memory."""
    plain = Node.settled

    def settled(self: Node, frame: Frame, status: Any) -> None:
        delivery = frame.delivery
        plain(self, frame, status)
        if delivery.resumed and delivery.id not in self.open:
            self.open[delivery.id] = delivery

    patch.setattr(Node, "settled", settled)


def recovery_gives_up(patch: Patch) -> None:
    """At the start only what is ready is taken up; what was running when the node died is stranded."""
    plain = Recovery._take_up

    async def take_up(self: Recovery, view: Any) -> None:
        if view.status != Status.RUNNING:
            await plain(self, view)

    patch.setattr(Recovery, "_take_up", take_up)


def recovery_adopts_what_runs(patch: Patch) -> None:
    """The look for stranded work takes up what this very process has begun."""

    async def sweep(self: Recovery) -> int:
        for view in await self._node.store.reader.executions(limit=100):
            known = self._node.open.get(view.id)
            if known is not None and not known.parked:
                del self._node.open[view.id]
                await self._take_up(view)
        self._node.dispatcher.wake()
        return 0

    patch.setattr(Recovery, "sweep", sweep)


def recovery_backwards(patch: Patch) -> None:
    """What is open is taken up in the wrong order."""
    plain = Recovery.start

    async def start(self: Recovery) -> None:
        reader = self._node.store.reader
        forward = reader.executions

        async def executions(**options: Any) -> Any:
            return list(reversed(await forward(**options)))

        patch.setattr(reader, "executions", executions)
        await plain(self)
        patch.setattr(reader, "executions", forward)

    patch.setattr(Recovery, "start", start)


def arguments_not_hashed(patch: Patch) -> None:
    """A replay with other arguments is not noticed."""
    from onstage.runtime.step import Durable

    patch.setattr(Durable, "hash_of", lambda *_: 0)


def attempts_forgotten(patch: Patch) -> None:
    """How often a step was tried is not counted across a pause."""
    plain = Execution.ask

    def ask(self: Execution, *given: Any, **more: Any) -> Any:
        answer = plain(self, *given, **more)
        return Perform(1, begun=answer.begun, first=answer.first) if isinstance(answer, Perform) else answer

    patch.setattr(Execution, "ask", ask)


def mail_taken_twice(patch: Patch) -> None:
    """What one wait has taken is offered to the next."""
    plain = Execution._record

    def record(self: Execution, entry: Any) -> None:
        before = None if self.consumed is None else set(self.consumed)
        plain(self, entry)
        if isinstance(entry, WaitEnded):
            self.consumed = before

    patch.setattr(Execution, "_record", record)


def incarnation_reused(patch: Patch) -> None:
    """A writer that starts again goes on under the name of the one before."""
    from onstage.ports.clock import SystemClock

    patch.setattr(SystemClock, "token", lambda _, size: bytes(size))
