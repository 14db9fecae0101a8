"""Rules about who reaches whom: events that nobody hears or makes, handlers that never run, outcomes out of reach.

An event may always come from outside, from a door or another application; so what nobody produces is a warning, and
only a note where no process is declared that could say what comes from outside.
"""

from __future__ import annotations

from collections.abc import Iterator

from onstage.contracts.check_codes import Finding, Severity, about
from onstage.contracts.event_graph import EventGraph, Ways, node_of
from onstage.contracts.manifest import HandlerManifest, ProcessManifest
from onstage.events.topic import SYSTEM_PREFIX

__all__ = [
    "dead_handlers",
    "unheard_events",
    "unproduced_triggers",
    "unproduced_waits",
    "unreachable_outcomes",
    "ways_from_outside",
]


def ways_from_outside(graph: EventGraph) -> Ways:
    """What can happen at all: what is said to come from outside, what nobody makes, and all that follows."""
    return graph.ways(name for name in graph.types if graph.is_given(name) or not _is_made_inside(graph, name))


def unheard_events(graph: EventGraph, ways: Ways) -> Iterator[Finding]:
    """Events that are emitted, start no gating handler, are waited for by nobody and are no outcome."""
    for name in graph.types:
        makers = graph.emitted[name]
        is_heard = graph.gated[name] or graph.waited[name] or graph.asked[name]
        if not makers or is_heard or name in graph.outcomes or name.startswith(SYSTEM_PREFIX):
            continue
        listeners = graph.heard[name]
        severity: Severity = "info" if listeners else "warning"
        only = f"only {listeners[0].name} listens, and holds up nothing" if listeners else "nobody handles it"
        yield about(
            makers[0],
            "OS101",
            severity,
            f"{makers[0].name} emits {name}, and {only}",
            "handle it, name it among the outcomes of a Process, or do not emit it",
            event=name,
            path=ways.path(name),
        )


def dead_handlers(graph: EventGraph, ways: Ways) -> Iterator[Finding]:
    """Handlers whose events cannot come, even if all came that nobody is known to produce."""
    for handler in graph.handlers:
        if node_of(handler) in ways:
            continue
        events = graph.starting[handler.name]
        if handler.pattern and not events:
            what = f"{handler.name} can never run: no known event matches {' or '.join(handler.triggers)}"
            yield about(handler, "OS102", "warning", what, "correct the pattern, or remove the handler")
            continue
        after = "each other" if len(events) > 1 else "itself"
        what = f"{handler.name} can never run: {_listed(events)} comes only after {after}"
        mend = "let something begin the circle, or say external=[...] in a Process if it comes from outside"
        yield about(handler, "OS102", "warning", what, mend, event=events[0] if events else None)


def unproduced_triggers(graph: EventGraph) -> Iterator[Finding]:
    """Events that start handlers, come from none and are not said to come from outside."""
    severity: Severity = "warning" if graph.manifest.processes else "info"
    for name in graph.types:
        hearers = [each for each in graph.heard[name] if not each.pattern]
        if hearers and not graph.is_made(name) and not graph.is_given(name):
            what = f"{_named(hearers)} {'reacts' if len(hearers) == 1 else 'react'} to {name}, and nobody produces it"
            mend = "if it comes from outside, say so: starts= or external= of a Process; else emit it, or remove this"
            yield about(hearers[0], "OS103", severity, what, mend, event=name)


def unproduced_waits(graph: EventGraph, ways: Ways) -> Iterator[Finding]:
    """Events that handlers wait for, come from none and are not said to come from outside."""
    severity: Severity = "warning" if graph.manifest.processes else "info"
    for name in graph.types:
        if graph.is_made(name) or graph.is_given(name):
            continue
        for handler in graph.waited[name]:
            ends = "; each wait ends by its timeout" if handler.timer else ""
            what = f"{handler.name} waits for {name}, and nobody produces it{ends}"
            mend = "if it comes from outside, say so: external=[...] of the Process; else emit it, or do not wait"
            path = (*ways.path(node_of(handler)), name)
            yield about(handler, "OS104", severity, what, mend, event=name, path=path)


def unreachable_outcomes(graph: EventGraph) -> Iterator[Finding]:
    """Outcomes of declared processes to which no way leads from their starts and what comes from outside."""
    processes = graph.manifest.processes
    reached = graph.reached_by([(*process.starts, *process.external) for process in processes])
    for place, process in enumerate(processes):
        for name in sorted({*process.done, *process.failed}):
            if not reached[name] >> place & 1 and not _is_late(process, name):
                yield _out_of_reach(graph, process, name)


def _out_of_reach(graph: EventGraph, process: ProcessManifest, name: str) -> Finding:
    makers = graph.emitted[name]
    if makers:
        why = f"{_named(makers)} {'emits' if len(makers) == 1 else 'emit'} it, but no way leads there"
        mend = "connect the two, or name in external= what comes from outside on the way"
    else:
        why, mend = "nobody emits it", "emit it, name it in external=, or take it out of the outcomes"
    return Finding(
        code="OS105",
        severity="error",
        what=f"process {process.name} cannot reach its outcome {name} from {_listed(process.starts)}: {why}",
        mend=mend,
        service=process.owner,
        handler=makers[0].name if makers else None,
        event=name,
    )


def _is_late(process: ProcessManifest, name: str) -> bool:
    # Which event late= makes is known when it is made, so any of the failures may be it.
    return process.late and name in process.failed


def _is_made_inside(graph: EventGraph, name: str) -> bool:
    return bool(graph.emitted[name] or graph.asked[name])


def _named(handlers: list[HandlerManifest]) -> str:
    shown = ", ".join(each.name for each in handlers[:3])
    return shown if len(handlers) <= 3 else f"{shown} and {len(handlers) - 3} more"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"
