"""The causal tree of one process: events, the executions they started, and the events these emitted in turn.

Shapes only: `grow` reads the store into nodes, `lines` draws them. Both go without recursion, so that a chain of a
thousand hops is drawn like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import click
import msgspec

from onstage.cli.printing import age, clean, instant, moment, shortened, styled
from onstage.cli.redaction import redacted
from onstage.core import journal
from onstage.core.commit import event_of
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import Status
from onstage.ports.payload_codec import key_id_of
from onstage.runtime.wire import emitted_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.core.journal import Entry
    from onstage.ports.store import EventView, ExecutionView, Reader

__all__ = ["EVENTS_MAX", "EventNode", "ExecutionNode", "grow", "lines", "told", "unreadable"]

EVENTS_MAX: Final = 1000
DATA_COLUMNS: Final = 60
ERROR_COLUMNS: Final = 200


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


async def grow(reader: Reader, process: int) -> list[EventNode]:
    """The roots of the tree: the first event, then the others that came from outside; at most EVENTS_MAX events."""
    events = await reader.events(process=process, limit=EVENTS_MAX)
    executions = await reader.executions(process=process, limit=EVENTS_MAX * 4)
    nodes = {event.n: _event(event) for event in events}
    grown: dict[int, ExecutionNode] = {}
    for view in executions:
        stored = await reader.execution(view.id) if view.length else None
        entries = stored.entries if stored else ()
        grown[view.id] = _execution(view, told(entries))
        grown[view.id].state = shown_by(entries)
        if event_of(view.id) in nodes:
            nodes[event_of(view.id)].executions.append(grown[view.id])
    roots: list[EventNode] = []
    for event in events:
        cause = grown.get(event.cause) if event.cause and event.n != process else None
        (roots if cause is None else cause.emitted).append(nodes[event.n])
    return roots


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
            undone.append(f"undone: {_call(entry.position).removeprefix('undo/')}")
            continue
        line = _line(entry)
        if line is not None:
            newest[entry.position] = line
    return [*newest.values(), *undone]


def shown_by(entries: tuple[Entry, ...]) -> dict[str, Any]:
    """The live state that a journal holds: the last value of each key."""
    return {entry.key: msgspec.json.decode(entry.value) for entry in entries if isinstance(entry, journal.StateSet)}


def _call(position: str) -> str:
    return position.removesuffix("#0")


def _line(entry: Entry) -> str | None:
    call = _call(entry.position)
    match entry:
        case journal.Begun():
            return f"step {call} began, its result is not recorded"
        case journal.Attempted(attempts=0):
            return f"step {call} is opened anew"
        case journal.Attempted():
            return f"step {call} failed {entry.attempts}x: {_first_line(entry.error)}"
        case journal.Stepped():
            return f"step {call}" + (f", {entry.attempts} attempts" if entry.attempts > 1 else "")
        case journal.Failed():
            return f"step {call} failed for good after {entry.attempts}: {_first_line(entry.error)}"
        case journal.Held():
            return f"step {call} failed after {entry.attempts}, other branches go on: {_first_line(entry.error)}"
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
        case journal.Asked():
            return f"{call}, which #{entry.event} says, and no answer yet"
        case journal.Answered(event=0):
            return f"{call} in vain, it timed out"
        case journal.Answered():
            return f"{call}, answered by #{entry.event}"
        case journal.CancelSeen():
            return f"was told at {_call(entry.at)} that it is cancelled"
        case _:
            return None  # an event is drawn below its execution, an open wait beside its status


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


# Drawing.


def lines(roots: list[EventNode], now_ms: int, *, is_view: bool = False) -> Iterator[str]:
    """The tree as lines; what hangs below a node is drawn with branches of its own.

    `is_view`: it was read from an observer's store, where nothing can be retried.
    """
    stack: list[tuple[EventNode | ExecutionNode, str, str]] = [(root, "", "") for root in reversed(roots)]
    while stack:
        node, head, rest = stack.pop()
        below: list[Any] = node.executions if isinstance(node, EventNode) else node.emitted
        yield head + (_event_line(node) if isinstance(node, EventNode) else _execution_line(node, now_ms))
        for detail in () if isinstance(node, EventNode) else _details(node, is_view=is_view):
            yield f"{rest}{'│' if below else ' '}    {detail}"
        for child in reversed(below):
            is_last = child is below[-1]
            stack.append((child, rest + ("└─ " if is_last else "├─ "), rest + ("   " if is_last else "│  ")))


def _event_line(node: EventNode) -> str:
    origin = "  from outside" if node.from_outside else f"  from {clean(node.from_service)}" * bool(node.from_service)
    data = bytes(node.data).decode(errors="replace") if isinstance(node.data, msgspec.Raw) else str(node.data)
    time = f"{moment(node.ms)[11:]}.{node.ms % 1000:03d}"
    shown = _bold(clean(node.type))
    return f"{shown} #{node.n}  {time}{origin}  {shortened(clean(data), DATA_COLUMNS)}"


def _bold(text: str) -> str:
    return click.style(text, bold=True)


def _execution_line(node: ExecutionNode, now_ms: int) -> str:
    parts = [styled(node.status)]
    if node.waits:
        parts.append(f"for {clean(' or '.join(node.waits))}")
    if node.due_ms is not None:
        ahead = node.due_ms - now_ms
        parts.append(f"until {moment(node.due_ms)} UTC ({'in ' + age(ahead) if ahead >= 0 else 'due'})")
    if node.took_ms is not None:
        parts.append(f"in {age(node.took_ms)}")
    if node.attempts > 1:
        parts.append(f"{node.attempts} attempts")
    if "@" in node.handler:
        parts.append(f"(replay {clean(node.handler.partition('@')[2])})")
    elif not node.gating:
        parts.append("(not gating)")
    return f"{clean(node.handler)}  {' '.join(parts)}"


def _details(node: ExecutionNode, *, is_view: bool) -> Iterator[str]:
    for line in node.journal:
        yield clean(line)
    for key, value in node.state.items():
        yield shortened(clean(f"state {key} = {msgspec.json.encode(value).decode()}"), DATA_COLUMNS * 2)
    if node.error:
        yield shortened(clean(_first_line(node.error)), ERROR_COLUMNS)
    if node.status in (Status.PARKED.label, Status.DIVERGED.label):
        retry = f"retry {node.id}` (or drop)"
        if is_view:
            retry = f"retry` (or drop) on the store of {clean(node.handler.partition('.')[0])}"
        yield f"to do: mend the cause, then `onstage dead {retry}"
