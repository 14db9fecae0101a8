"""Drives handlers: begins them, and settles what they came to in one commit each.

The driver acts and decides nothing: what a durable call means is asked of `onstage.core.execution`, what a failure
means of `onstage.core.retry`, what may follow of `onstage.core.lifecycle`.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, final

from msgspec.structs import replace

from onstage.core import lifecycle
from onstage.core.commit import Commit, Notes
from onstage.core.execution import Execution
from onstage.core.journal import JOURNAL_ENTRIES_MAX, Continued, Rejected
from onstage.core.lifecycle import Input
from onstage.core.retry import delay
from onstage.errors import (
    Cancelled,
    Diverged,
    InsideStep,
    KeyMissing,
    NotInExecution,
    OperationError,
    Reject,
    SealBroken,
    UndeclaredEvent,
    UsageError,
    WillNeverHappen,
)
from onstage.events.receipt import OPEN_MAX, Status
from onstage.runtime.answering import failure_of
from onstage.runtime.attempts import perform_step, perform_transaction
from onstage.runtime.batching import settle_members
from onstage.runtime.call import active
from onstage.runtime.cancelling import ends_as, give_up, is_due, was_set_aside
from onstage.runtime.continuing import ContinueAsNew, again
from onstage.runtime.emission import NOTHING, Emission
from onstage.runtime.error_text import error_text, leaves, said, storable
from onstage.runtime.expiry import Expired, may_begin, settle_expired
from onstage.runtime.frame import Frame, Park
from onstage.runtime.output import emission_of
from onstage.runtime.segment import append_along, delta_of, receipt_of
from onstage.runtime.undo import REJECTED, before_undo, then_rejected
from onstage.runtime.wire import deadline_of, version_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from onstage.core.commit import Door
    from onstage.core.journal import Entry
    from onstage.ports.store import EventView, Stored
    from onstage.runtime.delivery import Delivery, Reaction
    from onstage.runtime.node import Node

__all__ = ["Driver"]

_FOR_GOOD: Final = (UndeclaredEvent, InsideStep, NotInExecution, UsageError, KeyMissing, SealBroken, WillNeverHappen)
log = logging.getLogger("onstage.handler")


@final
class Driver:
    """Begins and settles runs; one for a node."""

    def __init__(self, node: Node) -> None:
        """Drive handlers for this node."""
        self.node = node
        self._now_ms = node.clock.now_ms
        self._to_save: list[Frame] = []

    # How steps and transactions run; here so that a step need not know its runner.
    perform_step = staticmethod(perform_step)
    before_undo = staticmethod(before_undo)
    perform_transaction = staticmethod(perform_transaction)

    # Beginning.

    def begin(self, delivery: Delivery) -> tuple[Frame, Coroutine[Any, Any, Any] | None]:
        """A frame and the coroutine to run in it; no coroutine if the event cannot be decoded (it is set aside)."""
        frame = Frame(delivery, delivery.reaction, self, delivery.after, self._now_ms(), Execution())
        waves = self.node.waves
        if waves.stopped and not delivery.resumed and waves.stops(delivery):
            waves.settle_unbegun(frame)
            return frame, None
        if delivery.resumed or delivery.data is None:
            return frame, self._resume(frame)
        if (expires := delivery.expires) is not None and not may_begin(frame, expires):
            settle_expired(frame, expires)
            return frame, None
        try:
            assert delivery.type is not None, "what carries its data has a type"
            event = delivery.type.decode(delivery.data)
        except Exception as error:  # noqa: BLE001  the class's own code may raise anything
            self._set_aside(frame, f"poison: the event cannot be decoded: {said(error)}", Input.FAIL)
            return frame, None
        return frame, self._call(delivery, event, None)

    def _event(self, delivery: Delivery, stored: EventView) -> Any:
        if delivery.reaction.handler.pattern is not None:
            return self.node.envelope(stored)
        known = self.node.types.get(stored.type)
        if known is None:
            raise ValueError(f"no class of this application is {stored.type} version {stored.version}")
        return known.read(stored.data, version_of(stored))

    def _call(self, delivery: Delivery, event: Any, stored: Stored | None) -> Coroutine[Any, Any, Any]:
        reaction, telemetry = delivery.reaction, self.node.telemetry
        coroutine = reaction.fn(event) if reaction.timeout_s is None else self._limited(reaction, event)
        return coroutine if telemetry is None else telemetry.run(delivery, coroutine, stored)

    async def _limited(self, reaction: Reaction, event: Any) -> Any:
        async with asyncio.timeout(reaction.timeout_s):
            return await reaction.fn(event)

    async def _resume(self, frame: Frame) -> Any:
        """Run again what has a journal: replay answers what is recorded, then it goes on."""
        delivery = frame.delivery
        with active(frame):
            await frame.barrier()
            stored = await self.node.store.reader.execution(delivery.id)
        if stored is None or not Status(stored.execution.status).is_open:
            raise Park  # it was settled meanwhile; there is nothing to run
        view = stored.execution
        frame.execution = Execution(stored.entries)
        frame.segment, frame.attempts = view.segment, view.attempts
        frame.started = view.started or frame.started
        delivery.deadline = deadline_of(stored.event)
        if stored.unreadable is not None:
            raise KeyMissing(stored.unreadable)
        if (expires := delivery.expires) is not None and not view.started and not may_begin(frame, expires):
            raise Expired(expires)
        if self.node.waves.stops(delivery):
            raise self.node.waves.parking()
        if frame.execution.rejected is not None:
            return await then_rejected(frame)
        if delivery.cancelled and (not stored.entries or was_set_aside(delivery, view.status)):
            raise Cancelled
        batching = None if delivery.turn is None else self.node.flow.batching(delivery.reaction)
        try:
            anew = again(frame)
            event = self._event(delivery, stored.event if anew is None else replace(stored.event, data=anew.input))
        except Exception as error:
            if batching is not None:
                batching.poisoned(delivery)
            raise _Poison(said(error)) from error
        if batching is not None:
            event = await batching.events(frame, event)
        return await self._call(delivery, event, stored)

    # Settling.

    def returned(self, frame: Frame, result: Any) -> None:
        """The handler returned: commit its journal, its events and its receipt in one."""
        if frame.parked is not None:
            self._parked(frame, frame.parked)  # the handler swallowed the parking; its return means nothing
            log.warning("%s swallowed the parking of its execution; let BaseException pass", frame.reaction.name)
            return
        if result is REJECTED:  # resumed, only the undo steps ran: the handler had no occasion to ask again
            happened, reason = ends_as(frame.execution)
            self._settle(frame, happened, None, error=reason)
            return
        missing = frame.execution.ended()
        if missing is not None:
            self._diverged(frame, missing)
            return
        try:
            nothing = result is None and frame.reaction.responding is None
            emission = None if nothing else emission_of(frame, result)
        except Exception as error:  # noqa: BLE001  encoding runs the class's own code
            self._failed(frame, error)
            return
        self._settle(frame, Input.END, emission)

    def raised(self, frame: Frame, error: BaseException) -> Coroutine[Any, Any, Any] | None:
        """The handler raised: retry, set aside, park, or (for a rejection) the undo steps to run now."""
        match error:
            case Park():
                self._parked(frame, frame.parked or error)
            case BaseExceptionGroup() if frame.parked is not None and (parted := error.split(Park))[0] is not None:
                if parted[1] is not None:
                    return self.raised(frame, parted[1])  # what failed counts; what has parked is asked again
                self._parked(frame, frame.parked)
            case ContinueAsNew():
                self._continued(frame, error)
            case Cancelled():
                return self._cancelled(frame, error.reason)
            case BaseExceptionGroup() if (cancelled := error.subgroup(Cancelled)) is not None:
                return self._cancelled(frame, str(leaves(cancelled)[0]))
            case BaseExceptionGroup() if (rejected := error.subgroup(Reject)) is not None:
                return self._rejected(frame, leaves(rejected)[0])
            case Diverged():
                self._diverged(frame, error.args[0])
            case Reject():
                return self._rejected(frame, error)
            case Expired():
                settle_expired(frame, error.expires)
            case _Poison():
                self._set_aside(frame, f"poison: the event cannot be decoded: {error}", Input.FAIL)
            case KeyboardInterrupt() | SystemExit():
                frame.closed = True
                raise error
            case _ if frame.execution.rejected is None and is_due(frame, frame.main):
                return self._cancelled(frame, f"cancelled; it had failed: {said(error)}")
            case _:
                self._failed(frame, error)
        return None

    def _rejected(self, frame: Frame, error: BaseException) -> Coroutine[Any, Any, Any] | None:
        frame.parked = None  # a branch that has parked does not hold up the undoing
        frame.execution.failed()
        frame.execution.tell(Rejected("reject", said(error)))
        return then_rejected(frame)

    def _cancelled(self, frame: Frame, reason: str) -> Coroutine[Any, Any, Any] | None:
        give_up(frame, reason)
        return then_rejected(frame)

    def _continued(self, frame: Frame, error: ContinueAsNew) -> None:
        missing = frame.execution.ended()
        if missing is not None:
            self._diverged(frame, missing)
            return
        frame.execution.tell(Continued("continue", error.input))
        self._settle(frame, Input.PARK, None, due=self._now_ms())

    def _failed(self, frame: Frame, error: BaseException) -> None:
        frame.execution.failed()
        frame.attempts += 1
        text = error_text(error)
        if isinstance(error, _FOR_GOOD) or type(error) is OperationError:
            self._set_aside(frame, text, Input.FAIL)
            return
        pause = delay(frame.reaction.retry, frame.attempts, error, self.node.clock.chance())
        if not isinstance(pause, timedelta):
            self._set_aside(frame, text, Input.FAIL)
            return
        due = self.node.clock.now_ms() + round(pause.total_seconds() * 1000)
        self._settle(frame, Input.RETRY, None, error=text, due=due)

    def _diverged(self, frame: Frame, diff: str) -> None:
        frame.execution, frame.along = frame.execution.untouched(), None
        where = frame.reaction.handler.where
        self._set_aside(frame, f"{diff}\n  handler: {frame.reaction.name} ({where})", Input.DIVERGE)

    def _set_aside(self, frame: Frame, why: str, happened: Input) -> None:
        log.error("%s is set aside: %s", frame.reaction.name, why)
        self._settle(frame, happened, None, error=why)

    def _parked(self, frame: Frame, park: Park) -> None:
        if park.diff is not None:
            self._diverged(frame, park.diff)
            return
        if park.stopped:
            frame.execution.hold()
            self._settle(frame, Input.CANCEL, None, error=self.node.waves.why(frame.delivery.process))
            return
        if park.due is None and not park.waits:
            self.node.reloading.gone(frame)
            return
        frame.execution.hold()
        happened = Input.RETRY if park.retrying else Input.PARK
        self._settle(frame, happened, None, due=park.due, waits=park.waits)
        if frame.reaction.releases_lane and not park.retrying:
            self.node.dispatcher.release_lane(frame.delivery, after=frame.after)
            frame.delivery.lane = None
            self.node.dispatcher.wake()

    def _settle(
        self,
        frame: Frame,
        happened: Input,
        emission: Emission | None,
        *,
        error: str | None = None,
        due: int | None = None,
        waits: tuple[str, ...] = (),
    ) -> None:
        """The last commit of this run."""
        status = lifecycle.advance(Status.RUNNING, happened)
        emission = emission or failure_of(frame, happened, error or "")
        self.commit(frame, status, emission, error=error, due=due, waits=waits)
        frame.closed = True
        self.node.settled(frame, status)

    def commit(
        self,
        frame: Frame,
        status: Status,
        emission: Emission | None = None,
        *,
        error: str | None = None,
        due: int | None = None,
        waits: tuple[str, ...] = (),
        transaction: Any = None,
        notes: Notes | None = None,
        door: Door | None = None,
    ) -> int:
        """Append one commit of this execution: everything told since the last one, and its receipt."""
        node, delivery, execution = self.node, frame.delivery, frame.execution
        now = self._now_ms()
        attempts = frame.attempts if status <= OPEN_MAX else frame.attempts + 1
        segment, delta = frame.segment, delta_of(frame, status, emission)  # which may begin the next segment
        emitted = emission or NOTHING
        commit = Commit(
            delivery.id,
            delivery.process,
            delivery.gating,
            node.epoch,
            execution.length,
            (frame.after,),
            status,
            frame.segment,
            attempts,
            due,
            frame.started,
            now,
            frame.reaction.code,
            " ".join(waits) if waits else None,
            None if error is None else storable(error),
            execution.take_entries(),
            emitted.events,
            emitted.opened,
            emitted.mail,
            (),
            emitted.roots,
            door,
            transaction,
            node.marks.ended(delivery.id) if delivery.cancelled and status > OPEN_MAX else notes,
        )
        receipt, others = receipt_of(frame, commit, segment, delta, emitted.outputs), emitted.receipts
        commit.receipts = (receipt, *others) if others else (receipt,)
        if delivery.turn is not None and delivery.turn.members:
            settle_members(node, frame, commit)
        if frame.along is None:
            position = node.append(commit, emission)
        else:
            along, frame.along = frame.along, None
            position = append_along(node, along, commit, emission)
        frame.after = delivery.after = position
        delivery.due = due
        delivery.waits = waits or delivery.waits  # it goes on listening to what its calls have asked for
        return position

    # While it runs.

    def save(self, frame: Frame) -> None:
        """Append what was recorded since the last commit, so that it survives even if the handler now waits."""
        if frame.closed or frame.undecided is not None or not frame.execution.has_pending:
            return
        self.commit(frame, Status.RUNNING)
        self.node.dispatcher.flush_soon()

    @staticmethod
    def refuse_full(frame: Frame) -> None:
        """Refuse another durable call at the journal's limit. Raises UsageError."""
        if frame.execution.is_full:
            raise UsageError(
                f"{frame.reaction.name} has made {JOURNAL_ENTRIES_MAX} durable calls in one execution\n"
                "  why: its journal is at the limit\n  to do: split the work over several events"
            )

    def tell(self, frame: Frame, entry: Entry) -> None:
        """Record an entry, and save it in this turn of the loop unless the handler goes on and takes it along."""
        self.refuse_full(frame)
        frame.execution.tell(entry)
        self.save_soon(frame)

    def save_soon(self, frame: Frame) -> None:
        """Save in this turn of the loop what has been told by then."""
        if not self._to_save:
            asyncio.get_running_loop().call_soon(self._save_all)
        elif self._to_save[-1] is frame:
            return
        self._to_save.append(frame)

    def _save_all(self) -> None:
        frames, self._to_save = self._to_save, []
        for frame in frames:
            self.save(frame)

    def forget(self, delivery: Delivery) -> None:
        """A delivery whose commit was refused will not run."""
        self.node.dispatcher.release_place(delivery)
        self.node.dispatcher.release_lane(delivery)


class _Poison(Exception):
    """The stored event cannot be decoded by the present class."""
