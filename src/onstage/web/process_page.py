"""One process for its three panes: the events and executions of a page, what is expected, milestones, broken rules."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from onstage.contracts.manifest import from_stored
from onstage.core.commit import event_of
from onstage.core.skippable import open_steps
from onstage.core.undoing import RESIDUE
from onstage.events.receipt import Status
from onstage.observe.service_map import OUTSIDE
from onstage.reading.milestones import find_timed
from onstage.reading.process_rows import find_process, judged, live_handlers, root_of
from onstage.stores.sqlite.offload import read_entry
from onstage.web.durable_calls import bars_of
from onstage.web.event_nodes import event_nodes
from onstage.web.panes import pane
from onstage.web.shown import (
    Action,
    ExecutionBar,
    Expected,
    Fold,
    Milestone,
    PlanPage,
    ProcessHead,
    ProcessPage,
    ProcessRef,
    StateLine,
    Violation,
)
from onstage.web.wave_pane import planned_pane, wave_pane

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onstage.contracts.manifest import AppManifest
    from onstage.core.journal import Entry
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import EventView, ExecutionView, ProcessView
    from onstage.reading.milestones import Timed
    from onstage.reading.store_file import StoreFile
    from onstage.web.shown import EventNode
    from onstage.web.shown_wave import WavePane
    from onstage.web.source import Source

__all__ = [
    "ENTRIES_READ_MAX",
    "EVENTS_MAX",
    "execution_bar",
    "folds_of",
    "plan_page",
    "process_page",
    "whole_actions",
]

EVENTS_MAX: Final = 1_000
"""The most events of one page of a process."""

ENTRIES_READ_MAX: Final = 20_000
"""So many journal entries of one page of a process are read; what stands behind them is on the execution's own page."""

GENERATIONS_MAX: Final = 20
STATES_MAX: Final = 50
FOLD_MS: Final = 5_000
"""A span in which nothing happened is folded if it is longer, and longer than a tenth of the whole."""

FOLDED_SHARE: Final = 10
_HELD_UP: Final = (Status.PARKED, Status.RETRYING)
_FAILED: Final = frozenset({Status.PARKED, Status.DIVERGED, Status.DROPPED, Status.REJECTED})


async def process_page(
    source: Source, store: StoreFile, name: str, *, after: int = 0, limit: int = EVENTS_MAX
) -> ProcessPage:
    """The process with this public id or key. Raises LookupError."""
    view = await find_process(store, name)
    verdict = await judged(store, view.id, await live_handlers(store))
    limit = min(limit, EVENTS_MAX)
    events = await store.reader.events(process=view.id, after=after, limit=limit + 1)
    following = events[limit - 1].n if len(events) > limit else None
    events = events[:limit]
    executions = await _executions(store, view.id, events)
    nodes = event_nodes(store, events)
    bars = _bars(store, executions, nodes)
    manifest = from_stored(await store.reader.manifest())
    standing, wave = source.standing(store), await wave_pane(store, view)
    timed = await find_timed(store, view.id)
    return ProcessPage(
        standing=standing,
        head=await _head(store, view, verdict),
        milestones=tuple(map(_milestone, timed)),
        violated=tuple(
            Violation(rule=each.rule, at_ms=round(each.at.timestamp() * 1000), because=each.because)
            for each in verdict.violated
        ),
        expected=tuple(_expected(manifest, bars, timed)),
        lanes=_lanes(nodes, bars),
        events=nodes,
        executions=bars,
        folds=folds_of(nodes, bars, standing.now_ms),
        states=await _states(store, view),
        next=following,
        wave=wave,
        actions=() if store.kind != "whole" else whole_actions(view, wave),
    )


async def plan_page(source: Source, store: StoreFile, name: str) -> PlanPage:
    """What undoing the process with this public id or key would undo. Raises LookupError."""
    view = await find_process(store, name)
    root, key = await root_of(store, view)
    return PlanPage(
        standing=source.standing(store),
        process=ProcessRef(process=view.wire_id, key=key, type=view.declared or root),
        action="cancel" if view.open else "undo",
        plan=await planned_pane(store, view),
    )


def whole_actions(view: ProcessView, wave: WavePane | None) -> tuple[Action, ...]:
    """What can be done to a process as a whole: what is decided once is not decided again."""
    if wave is not None:
        return ("resolve",) if wave.state == RESIDUE else ()
    return ("cancel",) if view.open else ("undo",)


async def _head(store: StoreFile, view: ProcessView, verdict: Verdict) -> ProcessHead:
    root, key = await root_of(store, view)
    same = [] if view.key is None else await store.reader.processes(key=view.key, limit=GENERATIONS_MAX)
    others = [
        ProcessRef(process=each.wire_id, key=each.key, type=each.declared or (await root_of(store, each))[0])
        for each in same
        if each.id != view.id
    ]
    return ProcessHead(
        process=view.wire_id,
        number=view.id,
        key=key,
        type=view.declared or root,
        declared=view.declared,
        verdict=verdict.status,
        outcome=verdict.outcome,
        reasons=verdict.reasons,
        until_ms=None if verdict.until is None else round(verdict.until.timestamp() * 1000),
        open=view.open,
        started_ms=view.started,
        ended_ms=view.ended,
        others=tuple(others),
    )


async def _executions(store: StoreFile, process: int, events: Sequence[EventView]) -> list[ExecutionView]:
    """Those of these events: they come in the order of their events."""
    if not events:
        return []
    first, last = events[0].n, events[-1].n
    found = await store.reader.executions(process=process, after=(first << 16) - 1, limit=EVENTS_MAX * 4)
    return [view for view in found if event_of(view.id) <= last]


def _bars(
    store: StoreFile, executions: Sequence[ExecutionView], nodes: Sequence[EventNode]
) -> tuple[ExecutionBar, ...]:
    emitted: dict[int, list[int]] = {}
    for node in nodes:
        emitted.setdefault(node.cause, []).append(node.n)
    journals: dict[int, list[Entry]] = {}
    if executions:
        span = {"first": event_of(executions[0].id), "last": event_of(executions[-1].id)}
        wanted = {"process": executions[0].process, "limit": ENTRIES_READ_MAX, **span}
        for execution, body in pane(store, "entries_of_page", **wanted):
            journals.setdefault(execution, []).append(read_entry(store.connection, body))
    return tuple(execution_bar(view, journals.get(view.id, ()), emitted.get(view.id, ())) for view in executions)


def execution_bar(view: ExecutionView, entries: Sequence[Entry], emitted: Iterable[int]) -> ExecutionBar:
    """One execution as a bar, from its journal, with what can be done to it."""
    status = Status(view.status)
    actions: tuple[Action, ...] = ()
    if status in (Status.PARKED, Status.DIVERGED):
        actions = ("retry", "drop")
    elif status.is_open:
        actions = ("cancel", "terminate")
    return ExecutionBar(
        id=view.id,
        event=event_of(view.id),
        handler=view.handler,
        service=view.handler.partition(".")[0],
        status=status.label,
        gating=view.gating,
        attempts=view.attempts,
        start_ms=view.started,
        end_ms=None if status.is_open else view.ended,
        due_ms=view.due if status.is_open else None,
        waits=view.waits,
        error=view.error,
        code=view.code,
        steps=bars_of(entries),
        emitted=tuple(emitted),
        actions=actions,
        failed=status in _FAILED,
        can_skip=tuple(each.step for each in open_steps(entries, view.error)) if status in _HELD_UP else (),
    )


def _milestone(timed: Timed) -> Milestone:
    came = None if timed.came is None else round(timed.came.timestamp() * 1000)
    return Milestone(milestone=timed.milestone, due_ms=timed.due_ms, came_ms=came, state=timed.state)


def _expected(manifest: AppManifest, bars: Iterable[ExecutionBar], timed: Iterable[Timed]) -> Iterable[Expected]:
    """What has not come: what is waited for, milestones that are owed, what set-aside handlers would have emitted."""
    declared = {each.name: each for each in manifest.handlers}
    made = {name for each in manifest.handlers for name in each.emits}
    external = {name for each in manifest.processes for name in each.external}
    for bar in bars:
        if bar.end_ms is not None:
            continue
        for name in bar.waits:
            yield Expected(
                type=name,
                kind="wait",
                handler=bar.handler,
                execution=bar.id,
                until_ms=bar.due_ms,
                from_outside=name in external or name not in made,
            )
        for name in declared[bar.handler].emits if bar.handler in declared else ():
            yield Expected(
                type=name, kind="emits", handler=bar.handler, execution=bar.id, until_ms=None, from_outside=False
            )
    for each in timed:
        if each.milestone is not None and each.state in ("open", "overdue"):
            yield Expected(
                type=each.milestone,
                kind="milestone",
                handler=None,
                execution=None,
                until_ms=each.due_ms,
                from_outside=each.milestone in external or each.milestone not in made,
            )


def _lanes(nodes: Iterable[EventNode], bars: Iterable[ExecutionBar]) -> tuple[str, ...]:
    lanes = dict.fromkeys([OUTSIDE] if any(node.from_outside for node in nodes) else [])
    lanes |= dict.fromkeys(bar.service for bar in bars)
    lanes |= dict.fromkeys(node.from_service for node in nodes if node.from_service)
    return tuple(lanes)


def folds_of(nodes: Iterable[EventNode], bars: Iterable[ExecutionBar], now_ms: int) -> tuple[Fold, ...]:
    """The long spans between two moments at which something happened."""
    moments = {node.at_ms for node in nodes}
    for bar in bars:
        moments |= {bar.start_ms, now_ms if bar.end_ms is None else bar.end_ms}
        moments |= {at for step in bar.steps for at in (step.start_ms, step.end_ms) if at}
    ordered = sorted(at for at in moments if at)
    if not ordered:
        return ()
    least = max(FOLD_MS, (ordered[-1] - ordered[0]) // FOLDED_SHARE)
    pairs = pairwise(ordered)
    return tuple(Fold(start_ms=begin, end_ms=end) for begin, end in pairs if end - begin > least)


async def _states(store: StoreFile, view: ProcessView) -> tuple[StateLine, ...]:
    if view.key is None:
        return ()
    from onstage.reading.redaction import redacted

    found = await store.reader.states(key=view.key, limit=STATES_MAX)
    return tuple(
        StateLine(
            state=each.state,
            version=each.version,
            changed_ms=each.changed,
            data=None if each.data is None else redacted(each.data).decode(errors="replace"),
        )
        for each in found
    )
