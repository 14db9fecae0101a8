"""What undoing a process would undo, and in which order: the wave played on what is recorded, and nothing done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from onstage.core.commit import event_of, handler_of
from onstage.core.journal import Begun
from onstage.core.segments import segments_of
from onstage.core.undoing import UNDO
from onstage.core.wave import Edge, Part, Undo, Wave

if TYPE_CHECKING:
    from onstage.core.segments import Segment
    from onstage.core.wave import Node
    from onstage.ports.store import ExecutionView, Reader, Stored

__all__ = ["PlannedUndo", "following", "plan_of"]

PAGE: Final = 1000


class PlannedUndo(NamedTuple):
    """One undo: in which round, of which handler, of which step. Those of one round do not wait for each other.

    `execution` and `segment` say where the step was done.
    """

    round: int
    handler: str
    step: str
    in_doubt: bool
    execution: int = 0
    segment: int = 0


async def plan_of(reader: Reader, process: int, *, decisive: int = 0) -> list[PlannedUndo]:
    """The undos of a process as it stands, in their order. What still runs may add to them.

    `decisive` is the number of the outcome that decided, which with all that follows from it is left alone.
    """
    exempt = await following(reader, process, decisive)
    views = [
        view
        for view in await _executions(reader, process)
        if view.gating and view.handler != UNDO and event_of(view.id) not in exempt
    ]
    stored = [found for found in [await reader.execution(view.id) for view in views] if found is not None]
    names = {handler_of(view.id): view.handler for view in views}
    segments = {each.execution.id: segments_of(each.entries) for each in stored}
    caused = await _caused(reader, process)
    edges = _edges(stored, segments)
    wave = Wave()
    for view in views:
        wave.starts(event_of(view.id), handler_of(view.id))
    for execution, own in segments.items():
        wave.ended(event_of(execution), handler_of(execution), _parts(own, caused.get(execution, []), edges))
    return _played(wave, segments, names)


def _played(wave: Wave, segments: dict[int, list[Segment]], names: dict[int, str]) -> list[PlannedUndo]:
    planned: list[PlannedUndo] = []
    number = 0
    while undos := [action.node for action in wave.take() if isinstance(action, Undo)]:
        number += 1
        for node in undos:
            planned += _undos_of(number, node, segments, names)
            wave.undone(node)
    return planned


def _undos_of(number: int, node: Node, segments: dict[int, list[Segment]], names: dict[int, str]) -> list[PlannedUndo]:
    event, handler = int(str(node.event)), int(str(node.handler))
    execution = event << 16 | handler
    return [
        PlannedUndo(number, names[handler], due.position, isinstance(due.entry, Begun), execution, node.segment)
        for due in reversed(segments[execution][node.segment].dues)
    ]


async def following(reader: Reader, process: int, decisive: int) -> set[int]:
    """An outcome that decided, and the events that have come of it; nothing if that was no outcome."""
    if not decisive:
        return set()
    exempt, after = {decisive}, decisive
    while page := await reader.events(process=process, after=after, limit=PAGE):
        exempt |= {event.n for event in page if event_of(event.cause) in exempt}
        after = page[-1].n
    return exempt


async def _executions(reader: Reader, process: int) -> list[ExecutionView]:
    found: list[ExecutionView] = []
    while page := await reader.executions(process=process, after=found[-1].id if found else 0, limit=PAGE):
        found += page
    return found


async def _caused(reader: Reader, process: int) -> dict[int, list[int]]:
    caused: dict[int, list[int]] = {}
    after = 0
    while page := await reader.events(process=process, after=after, limit=PAGE):
        for event in page:
            if event.type != UNDO:
                caused.setdefault(event.cause, []).append(event.n)
        after = page[-1].n
    return caused


def _edges(stored: list[Stored], segments: dict[int, list[Segment]]) -> dict[int, list[Edge]]:
    """By event, who heard it and who took it."""
    edges: dict[int, list[Edge]] = {}
    for each in stored:
        execution = each.execution.id
        event, handler = event_of(execution), handler_of(execution)
        edges.setdefault(event, []).append(Edge(event, handler))
        for segment in segments[execution]:
            taken = Edge(segment.began_by, handler, waits=True)
            if segment.began_by and taken not in edges.setdefault(segment.began_by, []):
                edges[segment.began_by].append(taken)
    return edges


def _parts(segments: list[Segment], caused: list[int], edges: dict[int, list[Edge]]) -> list[Part]:
    said = {n for segment in segments for n in segment.outputs}
    outputs = [list(segment.outputs) for segment in segments]
    outputs[-1] += [n for n in caused if n not in said]
    return [
        Part(segment.began_by or None, tuple(edge for n in own for edge in edges.get(n, ())), bool(segment.dues))
        for segment, own in zip(segments, outputs, strict=True)
    ]
