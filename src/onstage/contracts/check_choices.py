"""Rules about choices: a handler that returns one of several events, and who has to know which one it was.

A choice is told by its event alone. So three things are looked at: whether each alternative still leads to an outcome;
whether somebody waits for one alternative and never learns of the other; whether two services decide, each for itself,
how the process ends. All are about what the declarations allow. Data may rule it out, so each is a warning. Where
something is not known, the better is taken. The work is linear, but for one walk for each alternative that leaves out
an event for which somebody waits without a timeout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from onstage.contracts.check_codes import Finding, about
from onstage.contracts.event_graph import EventGraph, Ways, node_of
from onstage.contracts.manifest import HandlerManifest, ProcessManifest

__all__ = ["decided_twice", "endless_waits", "lost_alternatives"]

Way = tuple[str, ...]


def lost_alternatives(graph: EventGraph, ways: Ways) -> Iterator[Finding]:
    """Alternatives after which no outcome can come any more, of handlers whose other alternatives lead to one."""
    leading = _leading_to_outcomes(graph)
    for handler in graph.handlers:
        others = _emitted_besides(handler)
        is_known = handler.gating and handler.inferred and not any(name in leading for name in others)
        said = [way for way in handler.alternatives if way]
        lost = [way for way in said if not any(name in leading for name in way)]
        if not is_known or not lost or len(lost) == len(said):
            continue
        for way in lost:
            if all(graph.gated[name] or graph.waited[name] for name in way):  # else nobody handles it: OS101
                yield about(
                    handler,
                    "OS113",
                    "warning",
                    f"{handler.name} may choose {' + '.join(way)}, after which no outcome can come",
                    "let what handles it lead to an outcome, or name it among the outcomes of a Process",
                    event=way[0],
                    path=ways.path(way[0]),
                )


def endless_waits(graph: EventGraph) -> Iterator[Finding]:
    """Handlers that wait without a timeout for one alternative of a choice, and hear nothing of another one."""
    choices = [
        (chooser, way, waiting)
        for chooser in graph.handlers
        if chooser.inferred and not chooser.rejects
        for way in chooser.alternatives
        if (waiting := _waiting_for_others(graph, chooser, way))
    ]
    for process in graph.manifest.processes if choices else ():
        starts = (*process.starts, *process.external)
        reached = graph.ways(starts)
        for chooser, way, waiting in choices:
            if node_of(chooser) in reached:
                yield from _left_waiting(graph, _Choice(chooser, way), waiting, process)


class _Choice(NamedTuple):
    chooser: HandlerManifest
    way: Way

    def __str__(self) -> str:
        return f"{self.chooser.name} chooses {' + '.join(self.way) or 'nothing'}"


def _waiting_for_others(graph: EventGraph, chooser: HandlerManifest, way: Way) -> list[tuple[HandlerManifest, str]]:
    """Who waits, for as long as it takes, for an event that the chooser emits only if it chooses another way."""
    others = {name for other in chooser.alternatives for name in other}
    left_out = sorted(others - {*way, *_emitted_besides(chooser)})
    found = {each.name: (each, name) for name in left_out for each in graph.waited[name]}
    return [
        (each, name)
        for each, name in found.values()
        if each.inferred and each.gating and not each.timer and each.name != chooser.name
    ]


def _left_waiting(
    graph: EventGraph, choice: _Choice, waiting: list[tuple[HandlerManifest, str]], process: ProcessManifest
) -> Iterator[Finding]:
    chosen, emitted = node_of(choice.chooser), (*choice.way, *_emitted_besides(choice.chooser))
    possible = Ways((*process.starts, *process.external), lambda node: emitted if node == chosen else graph.after(node))
    for handler, missed in waiting:
        if node_of(handler) in possible and not any(_may_come(graph, name, possible) for name in handler.waits):
            yield about(
                handler,
                "OS203",
                "warning",
                f"{handler.name} waits for {missed} for ever, and process {process.name} stays open, if {choice}",
                "wait for either, `wait(A, B)`, or with a timeout",
                event=missed,
                path=(*possible.path(node_of(handler)), missed),
            )


def decided_twice(graph: EventGraph) -> Iterator[Finding]:
    """Two services that react to one event, of which one may say that a process is done, the other that it failed."""
    done = {name: process for process in graph.manifest.processes for name in process.done}
    failed = {name: process for process in graph.manifest.processes for name in process.failed}
    reached: dict[str, Ways] = {}
    for event in graph.types:
        deciding = [each for each in graph.gated[event] if not each.waits and not each.asks]
        goods, bads = _by_process(deciding, done), _by_process(deciding, failed)
        for name in goods.keys() & bads.keys():
            pair = next((pair for pair in product(goods[name], bads[name]) if _apart(*pair)), None)
            process = next(each for each in graph.manifest.processes if each.name == name)
            if pair is None:
                continue
            if name not in reached:
                reached[name] = graph.ways((*process.starts, *process.external))
            if event in reached[name]:
                yield _decided(pair, event, name, reached[name])


def _decided(pair: tuple[_Decision, _Decision], event: str, process: str, ways: Ways) -> Finding:
    good, bad = pair
    return about(
        good.handler,
        "OS204",
        "warning",
        f"process {process} may be done and failed: after {event}, {good.handler.name} may emit {good.outcome}, and "
        f"{bad.handler.name} {bad.outcome}; neither hears of the other",
        "let one of them decide, after the other has said what it found",
        event=event,
        path=(*ways.path(event), node_of(good.handler), good.outcome),
    )


class _Decision(NamedTuple):
    handler: HandlerManifest
    outcome: str


def _by_process(deciding: list[HandlerManifest], outcomes: Mapping[str, ProcessManifest]) -> dict[str, list[_Decision]]:
    """Which of these handlers may emit such an outcome; of two services one each, which is enough for a pair."""
    found: dict[str, dict[str, _Decision]] = {}
    for handler in deciding:
        for name in (name for way in handler.alternatives for name in way if name in outcomes):
            services = found.setdefault(outcomes[name].name, {})
            if len(services) < 2:
                services.setdefault(handler.service, _Decision(handler, name))
    return {process: list(services.values()) for process, services in found.items()}


def _apart(one: _Decision, other: _Decision) -> bool:
    return one.handler.service != other.handler.service


def _may_come(graph: EventGraph, name: str, possible: Ways) -> bool:
    return name in possible or graph.is_given(name) or not graph.is_made(name)


def _emitted_besides(handler: HandlerManifest) -> Way:
    """What it may emit whichever alternative it takes."""
    returned = {name for way in handler.alternatives for name in way}
    return tuple(name for name in (*handler.emits, *handler.asks) if name not in returned)


def _leading_to_outcomes(graph: EventGraph) -> Ways:
    """The nodes from which an outcome may come, backwards; mail leads on as well, and what is not known does."""

    def before(node: str) -> Sequence[str]:
        handler = graph.nodes.get(node)
        if handler is not None:
            return (*graph.starting[handler.name], *handler.waits)
        return [node_of(each) for each in (*graph.emitted[node], *graph.asked[node])]

    unknown = [node_of(each) for each in graph.handlers if not each.inferred]
    return Ways([*sorted(graph.outcomes & frozenset(graph.types)), *unknown], before)
