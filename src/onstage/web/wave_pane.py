"""The undoing of a process for its pane: which steps are undone, which run, which are to come, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from onstage.core.journal import Undone
from onstage.core.undoing import PIVOTED, UNDO, decode_undoing
from onstage.events.receipt import Status
from onstage.observe.verdict import resolution
from onstage.runtime.undo_runs import decode_order
from onstage.runtime.wave_plan import plan_of
from onstage.web.shown_wave import UndoLine, WavePane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.ports.store import ProcessView, Stored
    from onstage.reading.store_file import StoreFile
    from onstage.runtime.wave_plan import PlannedUndo
    from onstage.web.shown_wave import UndoState

__all__ = ["UNDOS_MAX", "planned_pane", "wave_pane"]

UNDOS_MAX: Final = 500
"""A page lists so many undos, the first ones."""

PAGE: Final = 1000
_STATES: Final[dict[Status, UndoState]] = {
    Status.PARKED: "stuck",
    Status.DIVERGED: "stuck",
    Status.RETRYING: "retrying",
    Status.DONE: "undone",
    Status.DROPPED: "given up",
}


class _Run(NamedTuple):
    number: int
    status: Status
    error: str | None
    done: frozenset[str]


async def wave_pane(store: StoreFile, view: ProcessView) -> WavePane | None:
    """How far the undoing of a process is; None if it is not, and was not, undone, and has passed no pivot."""
    row = next(iter(await store.reader.waves((view.id,))), None)
    if row is None:
        return None
    undoing = decode_undoing(row.body)
    if row.state == PIVOTED:
        return _pane(row.state, undoing.reason, [], since_ms=undoing.since)
    runs = await _runs(store, view.id)
    plan = await plan_of(store.reader, view.id, decisive=max(undoing.exempt, 0))
    said = resolution(undoing.resolved, undoing.resolved_by, undoing.note) if undoing.resolved else ""
    return _pane(
        row.state,
        undoing.reason,
        [line for _, group in _grouped(plan) for line in _lines(group, runs)],
        since_ms=undoing.since,
        ended_ms=undoing.ended or None,
        residue=undoing.residue,
        resolved=said,
    )


async def planned_pane(store: StoreFile, view: ProcessView) -> WavePane:
    """What undoing a process would undo as it stands, in its order."""
    return _pane("planned", "", [_line(each, "planned") for each in await plan_of(store.reader, view.id)])


def _pane(
    state: str,
    reason: str,
    lines: list[UndoLine],
    *,
    since_ms: int | None = None,
    ended_ms: int | None = None,
    residue: tuple[str, ...] = (),
    resolved: str = "",
) -> WavePane:
    return WavePane(
        state=state,
        reason=reason,
        since_ms=since_ms,
        ended_ms=ended_ms,
        lines=tuple(lines[:UNDOS_MAX]),
        rounds=max((line.round for line in lines), default=0),
        total=len(lines),
        left=sum(1 for line in lines if line.state != "undone"),
        residue=residue,
        resolved=resolved,
    )


async def _runs(store: StoreFile, process: int) -> dict[tuple[int, int], _Run]:
    """The undo runs of a process by what they undo: execution and segment."""
    found: dict[tuple[int, int], _Run] = {}
    after = 0
    while page := await store.reader.executions(process=process, after=after, limit=PAGE):
        after = page[-1].id
        for view in page:
            stored = await store.reader.execution(view.id) if view.handler == UNDO else None
            if stored is not None:
                order = decode_order(stored.event.data)
                found[order.execution, order.segment] = _run(stored)
    return found


def _run(stored: Stored) -> _Run:
    done = (entry.position.removeprefix("undo/") for entry in stored.entries if isinstance(entry, Undone))
    return _Run(stored.execution.id, Status(stored.execution.status), stored.execution.error, frozenset(done))


def _grouped(plan: Iterable[PlannedUndo]) -> Iterable[tuple[tuple[int, int], list[PlannedUndo]]]:
    groups: dict[tuple[int, int], list[PlannedUndo]] = {}
    for each in plan:
        groups.setdefault((each.execution, each.segment), []).append(each)
    return groups.items()


def _lines(group: list[PlannedUndo], runs: dict[tuple[int, int], _Run]) -> Iterable[UndoLine]:
    """The undos of one segment: its run does one after the other."""
    run = runs.get((group[0].execution, group[0].segment))
    is_first = True
    for each in group:
        if run is None:
            yield _line(each, "to come")
        elif each.step in run.done or run.status is Status.DONE:
            yield _line(each, "undone", run)
        elif is_first or not run.status.is_open:
            yield _line(each, _STATES.get(run.status, "running"), run)
            is_first = False
        else:
            yield _line(each, "to come", run)


def _line(each: PlannedUndo, state: UndoState, run: _Run | None = None) -> UndoLine:
    is_held_up = state in ("stuck", "retrying")
    return UndoLine(
        round=each.round,
        handler=each.handler,
        step=each.step,
        in_doubt=each.in_doubt,
        execution=each.execution,
        state=state,
        undo=None if run is None else run.number,
        error=run.error if run is not None and is_held_up else None,
        can_skip=is_held_up,
    )
