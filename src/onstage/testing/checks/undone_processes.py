"""I6, over processes: one that was undone has each segment that did anything undone once, after all that it led to."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from onstage.core.commit import event_of
from onstage.core.segments import segments_of
from onstage.core.undoing import COMPENSATED, NOTHING, PIVOTED, RESIDUE, RESOLVED, UNDO, decode_undoing
from onstage.events.receipt import Status
from onstage.runtime.undo_runs import decode_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.core.segments import Segment
    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["undone_in_wrong_order", "waved"]

_OVER: Final = (COMPENSATED, RESIDUE, RESOLVED, NOTHING)


_Place = tuple[int, int]


class _Run(NamedTuple):
    """One undo run: the number of its event, and how it ended."""

    n: int
    status: int


def waved(file: StoredFile) -> dict[int, str]:
    """The processes that are undone, or were, with their state."""
    return {process: state for process, state, _ in file.waves if state not in (PIVOTED, NOTHING)}


def undone_in_wrong_order(file: StoredFile) -> Iterator[str]:
    """Segments of undone processes that were left as they were, undone twice, or before what they led to."""
    for process, state, body in file.waves:
        if state == PIVOTED:
            continue
        exempt = _following(file, process, decode_undoing(body).exempt)
        runs = _runs(file, process)
        yield from (f"process {process}: segment {at} has {len(own)} undo runs" for at, own in runs.items() if own[1:])
        segments = _segments(file, process, exempt)
        first = {at: own[0] for at, own in runs.items()}
        if state in _OVER:
            yield from _left(process, segments, first, is_whole=state == COMPENSATED)
        yield from _too_early(file, process, segments, first)


def _left(
    process: int, segments: dict[int, list[Segment]], runs: dict[tuple[int, int], _Run], *, is_whole: bool
) -> Iterator[str]:
    for execution, own in segments.items():
        for at, segment in enumerate(own):
            run = runs.get((execution, at))
            names = [due.position for due in segment.dues]
            if segment.dues and (run is None or (is_whole and run.status != Status.DONE)):
                yield f"process {process} is undone, but not {names} of execution {execution}"


def _too_early(
    file: StoredFile, process: int, segments: dict[int, list[Segment]], runs: dict[tuple[int, int], _Run]
) -> Iterator[str]:
    """An undo run that was begun before that of something to which it had led."""
    began_in = defaultdict[int, list[tuple[int, int]]](list)  # by event, the segments that it began
    for execution, own in segments.items():
        began_in[event_of(execution)].append((execution, 0))
        for at, segment in enumerate(own):
            began_in[segment.began_by].extend([(execution, at)] if segment.began_by else [])
    for (execution, at), run in runs.items():
        for later in _led_to(file, segments, began_in, (execution, at)):
            if later in runs and runs[later].n > run.n:
                yield f"process {process}: segment {(execution, at)} was undone before {later}, to which it had led"


def _led_to(
    file: StoredFile,
    segments: dict[int, list[Segment]],
    began_in: dict[int, list[tuple[int, int]]],
    of: tuple[int, int],
) -> set[tuple[int, int]]:
    found, todo = set[tuple[int, int]](), [of]
    while todo:
        execution, at = todo.pop()
        own = segments.get(execution, [])
        following = [(execution, at + 1)] if at + 1 < len(own) else []
        for n in _outputs(file, execution, own, at):
            following += began_in.get(n, [])
        todo += [each for each in following if each not in found]
        found.update(following)
    return found


def _outputs(file: StoredFile, execution: int, own: list[Segment], at: int) -> list[int]:
    said = {n for segment in own for n in segment.outputs}
    outputs = list(own[at].outputs) if at < len(own) else []
    if at == len(own) - 1:  # what the handler returned
        outputs += [n for n in file.caused.get(execution, ()) if n not in said]
    return outputs


def _following(file: StoredFile, process: int, decisive: int) -> set[int]:
    found = {decisive} if decisive else set[int]()
    for n, event in file.events.items():
        if event.process == process and event.cause and event_of(event.cause) in found:
            found.add(n)
    return found


def _segments(file: StoredFile, process: int, exempt: set[int]) -> dict[int, list[Segment]]:
    return {
        execution: segments_of(file.journals.get(execution, ()))
        for execution, row in file.executions.items()
        if row.process == process
        and row.gating
        and event_of(execution) not in exempt
        and file.events[event_of(execution)].type != UNDO
    }


def _runs(file: StoredFile, process: int) -> dict[tuple[int, int], list[_Run]]:
    status = Counter[int]()
    for execution, row in file.executions.items():
        status[event_of(execution)] = row.status
    runs = defaultdict[tuple[int, int], list[_Run]](list)
    for n, event in file.events.items():
        if event.process == process and event.type == UNDO:
            order = decode_order(file.payloads[n])
            runs[order.execution, order.segment].append(_Run(n, status[n]))
    return runs
