"""The causal tree of one process: events, the executions they started, and the events these emitted in turn.

Shapes only: `grow` reads the store into nodes, without recursion, so that a chain of a thousand hops is read like any
other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.core import journal
from onstage.core.commit import event_of
from onstage.core.fork import FORKED, forks_in
from onstage.events.answer import START_PREFIX
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import Status
from onstage.ports.payload_codec import key_id_of
from onstage.reading.heartbeats import Heartbeat, heartbeats_in
from onstage.reading.redaction import redacted
from onstage.reading.wording import instant
from onstage.runtime.wire import emitted_by

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.ports.store import EventView, ExecutionView, Reader

__all__ = ["EVENTS_MAX", "EventNode", "ExecutionNode", "called", "first_line", "grow", "line_of", "told", "unreadable"]

EVENTS_MAX: Final = 1000


@final
class ExecutionNode(msgspec.Struct):
    """One execution: how it stands, what its journal says, and what it emitted."""

    id: int
    handler: str
    status: str
    gating: bool
    attempts: int
    started: Any
    ended: Any
    due: Any
    waits: tuple[str, ...]
    error: str | None
    journal: list[str]
    took_ms: int | None
    due_ms: int | None
    emitted: list[EventNode]
    state: dict[str, Any] = {}
    heartbeats: list[Heartbeat] = []


@final
class EventNode(msgspec.Struct):
    """One event, and the executions that it started."""

    n: int
    type: str
    key: str | None
    time: Any
    ms: int
    from_outside: bool
    data: Any
    executions: list[ExecutionNode]
    from_service: str | None = None


async def grow(
    reader: Reader, process: int, *, after: int = 0, limit: int = EVENTS_MAX
) -> tuple[list[EventNode], int | None]:
    """A page of the tree: `limit` events after number `after`, and after which one the next page begins, if there is.

    Its roots are the first event, the others that came from outside, and those whose cause is on an earlier page.
    """
    events = await reader.events(process=process, after=after, limit=limit + 1)
    following = events[limit - 1].n if len(events) > limit else None
    events = events[:limit]
    first = events[0].n if events else 0
    executions = await reader.executions(process=process, after=(first << 16) - 1, limit=limit * 4)
    nodes = {event.n: _event(event) for event in events}
    grown: dict[int, ExecutionNode] = {}
    beats = await heartbeats_in(reader)
    for view in executions:
        of_event = nodes.get(event_of(view.id))
        if of_event is None:
            break  # they come in the order of their events
        stored = await reader.execution(view.id) if view.length else None
        entries = stored.entries if stored else ()
        grown[view.id] = _execution(view, told(entries))
        grown[view.id].state = shown_by(entries)
        grown[view.id].heartbeats = beats.get(view.id, []) if Status(view.status).is_open else []
        of_event.executions.append(grown[view.id])
        if of_event.type.startswith(START_PREFIX):
            notes = await reader.notes(FORKED, after=view.id - 1, limit=1)
            forks = forks_in(notes[0].body) if notes and notes[0].number == view.id else ()
            grown[view.id].journal += [f"was forked as {fork}" for fork in forks]
    roots: list[EventNode] = []
    for event in events:
        cause = grown.get(event.cause) if event.cause and event.n != process else None
        (roots if cause is None else cause.emitted).append(nodes[event.n])
    return roots, following


def _event(event: EventView) -> EventNode:
    data: Any = msgspec.Raw(redacted(event.data))
    try:
        msgspec.json.decode(event.data)
    except ValueError:
        data = unreadable(event.data)
    ms = hlc_ms(event.hlc)
    emitter = emitted_by(event)
    service = None if emitter is None else emitter.partition(".")[0]
    return EventNode(
        n=event.n,
        type=event.type,
        key=event.key,
        time=instant(ms),
        ms=ms,
        from_outside=event.cause == 0 and emitter is None,
        from_service=service,
        data=data,
        executions=[],
    )


def _execution(view: ExecutionView, told: list[str]) -> ExecutionNode:
    status = Status(view.status)
    return ExecutionNode(
        id=view.id,
        handler=view.handler,
        status=status.label,
        gating=view.gating,
        attempts=view.attempts,
        started=instant(view.started or None),
        ended=None if status.is_open else instant(view.ended),
        due=instant(view.due),
        waits=view.waits,
        error=view.error,
        journal=told,
        took_ms=None if status.is_open else view.ended - view.started,
        due_ms=view.due if status.is_open else None,
        emitted=[],
    )


def unreadable(data: bytes) -> str:
    """What is shown of a payload that is no JSON: that it is sealed, and with which key, or its bytes."""
    key_id = key_id_of(data)
    return data.hex() if key_id is None else f"sealed with key {key_id}"


def told(entries: tuple[Entry, ...]) -> list[str]:
    """What the journal says, a line for each durable call: a later entry at a position replaces an earlier one."""
    newest: dict[str, str] = {}
    undone: list[str] = []
    for entry in entries:
        if isinstance(entry, journal.Undone):
            undone.append(f"undone: {called(entry.position).removeprefix('undo/')}")
            continue
        line = line_of(entry)
        if line is not None:
            newest[entry.position] = line
    return [*newest.values(), *undone]


def shown_by(entries: tuple[Entry, ...]) -> dict[str, Any]:
    """The live state that a journal holds: the last value of each key."""
    return {entry.key: msgspec.json.decode(entry.value) for entry in entries if isinstance(entry, journal.StateSet)}


def called(position: str) -> str:
    """A position as people write it: the first occurrence needs no number."""
    return position.removesuffix("#0")


def line_of(entry: Entry) -> str | None:
    """What an entry says in a line; None for what is drawn elsewhere."""
    call = called(entry.position)
    match entry:
        case journal.Begun():
            return f"step {call} began, its result is not recorded"
        case journal.Attempted(attempts=0):
            return f"step {call} is opened anew"
        case journal.Attempted():
            return f"step {call} failed {entry.attempts}x: {first_line(entry.error)}"
        case journal.Stepped():
            return f"step {call}" + (f", {entry.attempts} attempts" if entry.attempts > 1 else "")
        case journal.Failed():
            return f"step {call} failed for good after {entry.attempts}: {first_line(entry.error)}"
        case journal.Held():
            return f"step {call} failed after {entry.attempts}, other branches go on: {first_line(entry.error)}"
        case journal.Abandoned():
            return f"step {call} of a branch that had lost its race, abandoned"
        case journal.Raced():
            return f"{call} was won by branch {entry.winner}"
        case journal.ScopeRejected():
            return f"{call} was rejected: {entry.reason}"
        case journal.Patched():
            return f"{call}: on the {'new' if entry.new else 'old'} side"
        case journal.Transacted():
            return f"transaction {call}"
        case journal.WaitEnded(event=0):
            return "waited in vain, it timed out"
        case journal.WaitHopeless():
            return "waited in vain, it will never happen: nothing that is open can lead to it"
        case journal.WaitEnded():
            return f"took {entry.type} #{entry.event}"
        case journal.StateRead():
            return f"read {call}, version {entry.version}"
        case journal.StateWritten():
            return f"{call}: version {entry.version}"
        case journal.HandedOver():
            return f"step {call} is completed from outside, attempt {entry.attempts}"
        case journal.Slept():
            return "slept"
        case journal.Rejected():
            return f"{'cancelled' if entry.cancelled else 'rejected'}: {entry.reason}"
        case journal.Asked(joined=True):
            return f"{call}, which somebody else began with #{entry.event}, and no answer yet"
        case journal.Asked():
            return f"{call}, which #{entry.event} says, and no answer yet"
        case journal.Answered(event=0):
            return f"{call} in vain, it timed out"
        case journal.Answered():
            return f"{call}, answered by #{entry.event}"
        case journal.Forked():
            return f"forked from {entry.origin.rpartition('/')[0]} at {called(entry.cut)}: what is above was taken over"
        case journal.CancelSeen():
            return f"was told at {called(entry.at)} that it is cancelled"
        case _:
            return None  # an event is drawn below its execution, an open wait beside its status


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.partition("\n")[0]
