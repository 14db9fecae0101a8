"""Children with an id: whoever starts a workflow under an id that was used before joins that run, and gets its result.

The first start has the identity of (workflow, id) at the door, in the commit that records the request; a start from
outside has the same one. Whoever comes later finds it there, and records that it waits for the answer to that event.
The answer lies in another process, so no mailbox of the one that joined wakes it: it is on a list of the node, and a
note says so to the next life, in which it looks for itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from onstage.core.commit import Note, Notes
from onstage.core.journal import Answered, Asked
from onstage.errors import DuplicateId, UsageError
from onstage.events.answer import DUPLICATE, Answer, asked_name
from onstage.events.receipt import Status
from onstage.runtime.admission import start_door

if TYPE_CHECKING:
    from onstage.core.commit import Door
    from onstage.events.event import EventType
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = ["JOINED", "door_of", "join", "rejoin", "took_answer"]

JOINED: Final = "joined"
"""The topic of the notes on executions that wait for a run which another one started, by their number."""
PAGE: Final = 1000


def door_of(start: EventType, id: str, data: bytes) -> Door:
    """The identity of a start, as one from outside has it: of the input as its annotation reads it."""
    with suppress(Exception):  # what cannot be read is refused where it is run
        data = start.encode(start.decode(data))
    return start_door(asked_name(start.name), id, start.name, data)


async def join(frame: Frame, door: Door, id: str, asked: Asked) -> bool:
    """Record that the run with this identity is awaited, or that it had another input; False if there is none yet.

    Then nothing was appended meanwhile under this identity. Raises UsageError if it is this very run.
    """
    node = frame.driver.node
    while True:
        try:
            earlier = await node.admission.seen(door, id)
        except DuplicateId as error:
            found = await node.store.reader.doors((door.identity,))
            frame.leave_if_stopped()
            said = msgspec.json.encode(Answer(about="", failure=(DUPLICATE, str(error))))
            frame.driver.tell(frame, Answered(asked.position, asked.arguments, found[door.identity][0], said))
            return True
        frame.leave_if_stopped()
        if frame.undecided is None:
            break
        await frame.decided()
    if earlier is None:
        return False
    if earlier == frame.delivery.n:
        raise UsageError(
            f"{frame.reaction.name} starts itself, as a child with id {id}\n"
            "  why: this run has that id, and would wait for its own result\n  to do: give the child another id"
        )
    frame.execution.tell(msgspec.structs.replace(asked, event=earlier, joined=True))
    frame.driver.commit(frame, Status.RUNNING, notes=Notes([Note(JOINED, frame.delivery.id, b"")]))
    node.dispatcher.flush_soon()
    return True


def took_answer(frame: Frame) -> None:
    """A run that was joined has ended for this execution: forget the note, unless it waits for another such run."""
    waits = any(isinstance(entry, Asked) and entry.joined for entry in frame.execution.entries())
    if waits or frame.undecided is not None:
        return  # what is left over is forgotten at the next start
    x = frame.delivery.id
    frame.driver.commit(frame, Status.RUNNING, notes=Notes(dropped=[(JOINED, x, x)]))
    frame.driver.node.dispatcher.flush_soon()


async def rejoin(node: Node) -> None:
    """At a start: let everybody who waits for such a run look for its answer; forget who has ended."""
    after, gone = -1, list[tuple[str, int, int]]()
    while page := await node.store.reader.notes(JOINED, after=after, limit=PAGE):
        for note in page:
            delivery = node.open.get(note.number)
            if delivery is None:
                gone.append((JOINED, note.number, note.number))
            elif delivery.parked and delivery.waits:
                node.unpark(delivery)
        after = page[-1].number
    if gone:
        node.append_notes(Notes(dropped=gone))
