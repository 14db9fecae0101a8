"""A process for its panes: what the timeline draws, the flow as an indented list, and what is selected, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.reading.wording import age, moment
from onstage.web.rendering import tone
from onstage.web.shown import EventNode, ExecutionBar, Expected
from onstage.web.timeline import Deadline, Happening, Run, draw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.web.shown import ProcessPage
    from onstage.web.timeline import Drawing

__all__ = ["Chosen", "FlowLine", "chosen_in", "drawing_of", "failures_only", "flow_of"]

DEPTH_MAX: Final = 24
"""Deeper lines of the flow are not indented further."""

WORDS_MAX: Final = 160


@final
class FlowLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the flow: an event, an execution below its event, or with `missing` what has not come."""

    depth: int
    node: str = ""
    name: str = ""
    words: str = ""
    at: str = ""
    tone: str = "quiet"
    is_event: bool = False
    missing: Expected | None = None


@final
class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What is selected with what it hangs on: at most one of `event` and `run` is there."""

    node: str = ""
    event: EventNode | None = None
    run: ExecutionBar | None = None
    by: ExecutionBar | None = None
    of: EventNode | None = None
    handled: tuple[ExecutionBar, ...] = ()
    emitted: tuple[EventNode, ...] = ()
    expected: tuple[Expected, ...] = ()


def chosen_in(page: ProcessPage, *, event: int | None = None, execution: int | None = None) -> Chosen:
    """What is selected; by itself, what was set aside first, or what is waited for."""
    runs = {run.id: run for run in page.executions}
    events = {node.n: node for node in page.events}
    if event is not None and (node := events.get(event)):
        handled = tuple(run for run in page.executions if run.event == event)
        return Chosen(node=f"e{event}", event=node, by=runs.get(node.cause), handled=handled)
    run = runs.get(execution or 0)
    if run is None and event is None and execution is None:
        run = next((each for each in page.executions if each.end_ms is None and tone(each.status) == "stuck"), None)
        run = run or next((each for each in page.executions if each.end_ms is None), None)
    if run is None:
        return Chosen()
    return Chosen(
        node=f"x{run.id}",
        run=run,
        of=events.get(run.event),
        emitted=tuple(events[n] for n in run.emitted if n in events),
        expected=tuple(each for each in page.expected if each.execution == run.id and each.kind == "wait"),
    )


def failures_only(page: ProcessPage) -> ProcessPage:
    """The same process with only what failed, was retried or is stuck, and the events that led there."""
    runs = {run.id: run for run in page.executions}
    events = {node.n: node for node in page.events}
    kept_runs: dict[int, ExecutionBar] = {}
    kept_events: dict[int, EventNode] = {}
    for run in page.executions:
        at: ExecutionBar | None = run if run.failed or run.error or any(step.error for step in run.steps) else None
        while at is not None and at.id not in kept_runs:
            kept_runs[at.id] = at
            node = events.get(at.event)
            if node is None:
                break
            kept_events[node.n] = node
            at = runs.get(node.cause)
    return msgspec.structs.replace(
        page,
        events=tuple(kept_events[n] for n in sorted(kept_events)),
        executions=tuple(kept_runs[number] for number in sorted(kept_runs)),
    )


def drawing_of(page: ProcessPage) -> Drawing:
    """The timeline of what is on the page."""
    runs = [_run(run) for run in page.executions if run.start_ms or run.end_ms is None]
    drawn = {run.node for run in runs}
    at = {node.n: node.at_ms for node in page.events}
    runs = [run if run.started else msgspec.structs.replace(run, started=at.get(run.order, 0)) for run in runs]
    events = [
        Happening(
            node=f"e{node.n}",
            order=node.n,
            at=node.at_ms,
            title=f"{node.type} #{node.n}",
            by=f"x{node.cause}" if f"x{node.cause}" in drawn else None,
        )
        for node in page.events
    ]
    lines = [
        Deadline(each.milestone or "deadline", each.due_ms, each.state in ("late", "overdue"))
        for each in page.milestones
        if each.state != "not needed"
    ]
    is_open = page.head.open > 0
    return draw(runs, events, now=page.standing.now_ms, is_open=is_open and page.next is None, lines=lines)


def _run(run: ExecutionBar) -> Run:
    took = "" if run.end_ms is None else f" in {age(run.end_ms - run.start_ms)}"
    retries = [step for step in run.steps if step.attempts > 1 or step.state in ("retrying", "failed")]
    return Run(
        node=f"x{run.id}",
        service=run.service,
        handler=run.handler.partition(".")[2] or run.handler,
        of=f"e{run.event}",
        order=run.event,
        started=run.start_ms,
        ended=run.end_ms if run.end_ms is not None or tone(run.status) != "stuck" else _last_ms(run),
        tone=tone(run.status),
        title=f"{run.handler}: {run.status}{took}",
        marks=tuple(step.end_ms for step in run.steps if step.end_ms and step.kind in ("step", "transaction")),
        retries=tuple(step.start_ms for step in retries if step.start_ms),
        idles=bool(run.waits)
        or run.attempts > 1
        or any(step.kind in ("wait", "sleep", "ask") for step in run.steps)
        or bool(retries),
        aside=not run.gating,
    )


def _last_ms(run: ExecutionBar) -> int | None:
    """Until when something that was set aside has run: what is known of it."""
    known = [ms for step in run.steps for ms in (step.start_ms, step.end_ms) if ms]
    return max([run.start_ms, *known]) if run.start_ms else None


def flow_of(page: ProcessPage) -> list[FlowLine]:
    """The tree of who caused what, as lines in the order of a walk through it; without recursion."""
    first = page.events[0].at_ms if page.events else 0
    shown = {run.id for run in page.executions}
    below_run: dict[int, list[EventNode]] = {}
    roots: list[EventNode] = []
    for node in page.events:
        (below_run.setdefault(node.cause, []) if node.cause in shown else roots).append(node)
    below_event: dict[int, list[ExecutionBar]] = {}
    for run in page.executions:
        below_event.setdefault(run.event, []).append(run)
    missing: dict[int, list[Expected]] = {}
    for each in page.expected:
        missing.setdefault(each.execution or 0, []).append(each)
    lines: list[FlowLine] = []
    stack: list[tuple[EventNode | ExecutionBar | Expected, int]] = [(node, 0) for node in reversed(roots)]
    while stack:
        at, depth = stack.pop()
        lines.append(_line(at, min(depth, DEPTH_MAX), first))
        below: Iterable[EventNode | ExecutionBar | Expected] = ()
        if isinstance(at, EventNode):
            below = below_event.get(at.n, ())
        elif isinstance(at, ExecutionBar):
            below = [*below_run.get(at.id, ()), *missing.get(at.id, ())]
        stack += [(each, depth + 1) for each in reversed(list(below))]
    return lines + [_line(each, 0, first) for each in missing.get(0, ())]


def _line(at: EventNode | ExecutionBar | Expected, depth: int, first_ms: int) -> FlowLine:
    if isinstance(at, EventNode):
        words = " ".join(at.data[: WORDS_MAX * 2].split())[:WORDS_MAX]
        origin = "from outside  " if at.from_outside else ""
        return FlowLine(
            depth=depth,
            node=f"e{at.n}",
            name=at.type,
            words=f"{origin}{words}",
            at=f"+{age(max(at.at_ms - first_ms, 0))}",
            is_event=True,
        )
    if isinstance(at, ExecutionBar):
        return FlowLine(
            depth=depth, node=f"x{at.id}", name=at.handler, words=_standing(at), at=_took(at), tone=tone(at.status)
        )
    until = f" until {moment(at.until_ms)} UTC" if at.until_ms else ""
    said = {"wait": "awaited, has not come", "emits": "may come from here", "milestone": "milestone, has not come"}
    return FlowLine(depth=depth, missing=at, words=f"{said[at.kind]}{until}")


def _standing(run: ExecutionBar) -> str:
    words = run.status
    if run.waits:
        words += f" for {' or '.join(run.waits)}"
    if run.attempts > 1:
        words += f", {run.attempts} attempts"
    return (
        f"{words}: {run.error.partition(chr(10))[0].removeprefix('onstage.errors.StepFailed: ')}"
        if run.error
        else words
    )


def _took(run: ExecutionBar) -> str:
    return "" if run.end_ms is None else age(max(run.end_ms - run.start_ms, 0))
