"""Undo runs: one durable execution for each segment of a process that is undone.

An event of Onstage's own, `onstage.undo`, names a segment; one handler of Onstage's own undoes what that segment did,
the last step first, from its execution's journal. Nothing of the user's handler runs. It belongs to the process that is
undone, so that this stays open meanwhile, and it is retried, set aside and taken up again as any other execution.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.contracts.flow_options import CONCURRENCY_MAX
from onstage.contracts.handler import Handler
from onstage.core.commit import handler_of
from onstage.core.execution import Execution
from onstage.core.journal import Begun, Stepped, Undone
from onstage.core.retry import HANDLER_RETRY
from onstage.core.segments import segments_of
from onstage.core.undoing import UNDO
from onstage.errors import KeyMissing, OperationError, Reject
from onstage.events.codec import DecodeFailed
from onstage.events.event import define_event
from onstage.events.topic import Topic
from onstage.runtime.call import active
from onstage.runtime.delivery import Delivery, Reaction
from onstage.runtime.emission import Route
from onstage.runtime.frame import CURRENT, Frame
from onstage.runtime.undo import attempt_undo, is_skipped, undo_once, undo_position, undo_step
from onstage.runtime.wire import of_process

if TYPE_CHECKING:
    from onstage.core.segments import Due
    from onstage.events.envelope import Envelope
    from onstage.ports.store import Opened, Stored
    from onstage.runtime.emission import Emission

__all__ = ["UNDO_TYPE", "Order", "UndoRuns", "decode_order"]


class Order(msgspec.Struct, frozen=True):
    """Which segment of which execution is to be undone."""

    execution: int
    segment: int


UNDO_TYPE: Final = define_event(Order, name=UNDO)
_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Order).decode


def decode_order(data: bytes) -> Order:
    """What an `onstage.undo` names. Raises DecodeFailed if that is nothing."""
    try:
        return _DECODE(data)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"an undo: {error}") from error


@cache
def _handler() -> Handler[Envelope, None]:
    options: Any = {"name": "undo", "gating": True, "concurrency": CONCURRENCY_MAX}
    return Handler("onstage", _undo, triggers=(), pattern=Topic(UNDO), options=options)


@final
class UndoRuns:
    """Begins undo runs; one for a node."""

    def __init__(self, opened: Opened, reactions: dict[int, Reaction]) -> None:
        """With the numbers that the store has given; adds its own reaction to those of the node."""
        self.reaction = Reaction(_handler(), opened.handlers[UNDO], HANDLER_RETRY)
        self.reaction.is_ordered = False
        reactions[self.reaction.number] = self.reaction
        self._route = Route(UNDO_TYPE, opened.types[UNDO, UNDO_TYPE.version], None)
        self._route.triggers = [self.reaction]

    def begin(self, emission: Emission, order: Order, process: int, now_ms: int, process_id: str | None = None) -> int:
        """Add to an emission that a segment is undone; answers the number of the event.

        `process_id` is the public id of a process of another store.
        """
        extra = None if process_id is None else of_process(process_id)
        return emission.emit(
            self._route, _ENCODE(order), None, now_ms=now_ms, process=process, process_id=process_id, extra=extra
        )


async def _undo(envelope: Envelope) -> None:
    frame = CURRENT.get()
    assert frame is not None, "only the engine calls it"
    order, driver = decode_order(envelope.data), frame.driver
    with active(frame):
        stored = await driver.node.store.reader.execution(order.execution)
    assert stored is not None, "what is undone is stored"
    if stored.unreadable is not None:
        raise KeyMissing(stored.unreadable)
    of: Frame | None = None
    for due in reversed(segments_of(stored.entries)[order.segment].dues):
        position = undo_position(due.position)
        if isinstance(frame.execution.at(position), Undone):
            continue
        if is_skipped(frame, position):  # that needs no code
            driver.tell(frame, Undone(position))
            continue
        of = of or _frame_of(frame, stored)
        await _undo_due(frame, due, of)
    driver.save(frame)


def _frame_of(frame: Frame, stored: Stored) -> Frame:
    """A frame of the execution that is undone, as far as its steps ask for it: keys, resources."""
    node, view = frame.driver.node, stored.execution
    reaction = node.reactions.get(handler_of(view.id))
    if reaction is None:
        raise OperationError(
            f"what {view.handler} did cannot be undone\n  why: this app has no such handler any more\n"
            "  to do: bring it back and `onstage dead retry`, or `onstage dead drop` it: it is residue then"
        )
    delivery = Delivery(view.id, reaction, view.process, type=None, lane=None)
    delivery.names, delivery.gating = node.names_of(stored.event), view.gating
    return Frame(delivery, reaction, frame.driver, frame.after, view.started, Execution(stored.entries))


async def _undo_due(frame: Frame, due: Due, of: Frame) -> None:
    entry, driver = due.entry, frame.driver
    if isinstance(entry, Begun):
        step = driver.node.steps.get(entry.undo)
        if step is None or step.in_doubt == "finish":
            finished = await _finish(frame, due.position, entry, of)
            if finished is None:
                return
            entry = finished
    await undo_once(frame, msgspec.structs.replace(entry, position=due.position), of)


def _finished(frame: Frame, position: str, entry: Begun, data: bytes) -> Stepped:
    node = frame.driver.node
    step = node.steps.get(entry.undo)
    schema, version = (0, 1) if step is None else (step.schema, step.version)
    now = node.clock.now_ms()
    return Stepped(position, entry.arguments, data, schema, 1, now, entry.undo, entry.call, version)


async def _finish(frame: Frame, name: str, entry: Begun, of: Frame) -> Stepped | None:
    """Bring a step in doubt to a recorded end, under its own key: what it did is known then, and can be undone.

    None if it gave up for good: then it has done nothing.
    """
    position, driver = undo_position(f"finish/{name}"), frame.driver
    recorded = frame.execution.at(position)
    if isinstance(recorded, Stepped):
        return recorded
    if isinstance(frame.execution.at(undo_position(name)), Undone):
        return None
    said = driver.node.completions.take(frame, position, 0)
    if said is not None and said.data is not None:
        ended = _finished(frame, position, entry, said.data)
        driver.tell(frame, ended)
        return ended
    with active(frame):
        step = await undo_step(frame, entry.undo, position)

        async def run() -> Stepped | None:
            arguments = step.recorded_arguments(entry.call, step.version)
            try:
                result = await driver.node.invoke(step, of, entry.position, arguments)
            except Exception as error:
                if isinstance(error, (Reject, *step.give_up_on)):
                    return None
                raise
            return _finished(frame, position, entry, bytes(step.result_codec.encode(result)))

        finished = await attempt_undo(frame, step, position, run, "bringing to its end")
    driver.tell(frame, Undone(undo_position(name)) if finished is None else finished)
    return finished
