"""Rules about requests: who answers, how long chains of questions get, and whether one comes back to its asker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from onstage.contracts.check_codes import Finding, about
from onstage.contracts.event_graph import EventGraph, Ways, node_of, strong_components

__all__ = [
    "ASKS_FINE",
    "DEPTH_FINE",
    "ask_chains",
    "ask_circles",
    "asked_back",
    "many_asks",
    "two_answers",
    "unanswered",
]

DEPTH_FINE: Final = 2
"""So many questions one after the other are no finding: a service that asks one which asks one."""

ASKS_FINE: Final = 5
"""So many different requests of one handler are no finding."""


def two_answers(graph: EventGraph) -> Iterator[Finding]:
    """Requests that several handlers answer: whose answer came first would be left to chance."""
    for name in graph.types:
        for other in graph.answered[name][1:]:
            what = f"{other.name} answers {name}, which {graph.answered[name][0].name} answers too"
            yield about(other, "OS107", "error", what, "let one answer; the other may react to events", event=name)


def unanswered(graph: EventGraph) -> Iterator[Finding]:
    """Requests that are asked and that nobody answers: each ends with its deadline."""
    for name in graph.types:
        for handler in graph.asked[name] if not graph.answered[name] else ():
            what = f"{handler.name} asks {name}, and nobody answers it"
            mend = "declare a handler that answers it, or check the manifest of the service that does as well"
            yield about(handler, "OS111", "error", what, mend, event=name)


def many_asks(graph: EventGraph) -> Iterator[Finding]:
    """Handlers that ask more than a few different requests: each makes them wait for one more service."""
    for handler in graph.handlers:
        if len(set(handler.asks)) > ASKS_FINE:
            what = f"{handler.name} asks {len(set(handler.asks))} requests: it ends when the slowest has answered"
            mend = "keep what it asks for from events of those services, or split it"
            yield about(handler, "OS109", "warning", what, mend)


def ask_circles(graph: EventGraph) -> Iterator[list[str]]:
    """The nodes of handlers of which each may ask, on the way to an answer, itself: with one key they may wait so."""
    for component in strong_components(_asking(graph), lambda node: _asked_by(graph, node)):
        if len(component) == 1 and component[0] not in _asked_by(graph, component[0]):
            continue
        if all(graph.nodes[node].lane == "until-wait" for node in component):
            continue  # whoever waits has left its lane
        yield list(component)


def asked_back(graph: EventGraph) -> Iterator[Finding]:
    """Handlers that wait for an answer which, on its way, asks them: with the same key, each waits for the other."""
    for component in ask_circles(graph):
        first = min(component)
        inside = frozenset(component)
        ways = Ways([first], lambda node, inside=inside: [o for o in _asked_by(graph, node) if o in inside])  # type: ignore[misc]
        last = next(node for node in ways if first in _asked_by(graph, node))
        path = (*ways.path(last), first)
        handler = graph.nodes[first]
        what = f"{handler.name} asks, and the answer asks {handler.name}: with the same key they wait for each other"
        mend = "answer without asking back, hand what it needs over in the request, or give the two different keys"
        yield about(handler, "OS110", "warning", what, mend, path=path)


def ask_chains(graph: EventGraph) -> Iterator[Finding]:
    """The longest chain from each handler that nobody asks, if it is longer than `DEPTH_FINE` questions."""
    depth: dict[str, int] = {}
    onward: dict[str, str] = {}
    for component in strong_components(_asking(graph), lambda node: _asked_by(graph, node)):
        for node in component if len(component) == 1 else ():
            asked = [other for other in _asked_by(graph, node) if other != node]
            deepest = max(asked, key=lambda other: (depth.get(other, 0), other), default=None)
            depth[node] = 0 if deepest is None else 1 + depth.get(deepest, 0)
            if deepest is not None:
                onward[node] = deepest
    for node, handler in graph.nodes.items():
        is_first = handler.answers is None or not graph.asked[handler.answers]
        if is_first and depth.get(node, 0) > DEPTH_FINE:
            what = (
                f"{handler.name} waits for {depth[node]} services that ask one after the other: all must be up at once"
            )
            mend = "keep what is asked for from events, or let the last one answer by an event"
            yield about(handler, "OS108", "warning", what, mend, path=_chain(onward, node))


def _asking(graph: EventGraph) -> list[str]:
    return [node for node, handler in graph.nodes.items() if handler.asks]


def _asked_by(graph: EventGraph, node: str) -> list[str]:
    names = dict.fromkeys(graph.nodes[node].asks)
    return [node_of(answering) for name in names for answering in graph.answered[name]]


def _chain(onward: dict[str, str], node: str) -> tuple[str, ...]:
    found = [node]
    while found[-1] in onward:
        found.append(onward[found[-1]])
    return tuple(found)
