"""Can every process come to its end? The least fixpoint over manifests, and what lies outside it.

Theory of operation. An event can complete if each of its gating handlers has an alternative all of whose events can;
so an event that no gating handler hears can, and a handler that may end without events can. From there the property is
handed back along the edges, each of which is taken once. What is outside the least fixpoint leads, whatever is
decided, into a circle. The innermost circles are the findings; what only leads there is on the path of a process.

Where something is not known, the better is taken: a handler that may raise `Reject`, or whose alternatives are not
known, may end in any way it could. Events of `emits=` may not be emitted. So what is found is so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Final, final

from onstage.contracts.check_codes import Finding, Severity
from onstage.contracts.check_cycles import circle
from onstage.contracts.event_graph import EventGraph, Ways, node_of, strong_components
from onstage.contracts.manifest import HandlerManifest

__all__ = ["Completion", "endless_cycles", "endless_processes", "ways_to_end"]

_NO_EVENTS: Final[tuple[str, ...]] = ()


def ways_to_end(handler: HandlerManifest) -> tuple[tuple[str, ...], ...]:
    """The alternatives of a handler, those included that are not ruled out."""
    if handler.alternatives and not handler.rejects:
        return handler.alternatives
    return (*handler.alternatives, _NO_EVENTS)


@final
class Completion:
    """Which events and handlers can complete; everything else is in `stuck`, as nodes of the graph."""

    def __init__(self, graph: EventGraph) -> None:
        """Work out the fixpoint."""
        self.graph = graph
        self._lacking: dict[tuple[str, int], int] = {}
        self._needing: dict[str, list[tuple[HandlerManifest, int]]] = {}
        self._open = Counter({name: len(gated) for name, gated in graph.gated.items()})
        self._events = [name for name in graph.types if not graph.gated[name]]
        self._done: set[str] = set(self._events)
        for handler in graph.handlers:
            for way, names in enumerate(ways_to_end(handler)):
                self._learn(handler, way, frozenset(names))
        for name in self._events:  # grows while it is read
            for handler, way in self._needing.get(name, ()):
                self._lacking[handler.name, way] -= 1
                if not self._lacking[handler.name, way]:
                    self._complete(handler)
        self.stuck = frozenset(node for node in (*graph.types, *graph.nodes) if node not in self._done)

    def _learn(self, handler: HandlerManifest, way: int, names: frozenset[str]) -> None:
        self._lacking[handler.name, way] = len(names)
        for name in names:
            self._needing.setdefault(name, []).append((handler, way))
        if not names:
            self._complete(handler)

    def _complete(self, handler: HandlerManifest) -> None:
        node = node_of(handler)
        if node in self._done:
            return
        self._done.add(node)
        for name in self.graph.starting[handler.name] if handler.gating else ():
            self._open[name] -= 1
            if not self._open[name]:
                self._done.add(name)
                self._events.append(name)

    def after(self, node: str) -> list[str]:
        """Of the nodes to which a stuck one leads, those that hold it up."""
        handler = self.graph.nodes.get(node)
        if handler is None:
            return [node_of(each) for each in self.graph.gated[node] if node_of(each) in self.stuck]
        names = dict.fromkeys(name for way in handler.alternatives for name in way)
        return [name for name in names if name in self.stuck]

    @cached_property
    def circles(self) -> list[tuple[str, ...]]:
        """The innermost circles, out of which no way leads; each with an event that comes round, first and last."""
        found = []
        for component in strong_components(sorted(self.stuck), self.after):
            inside = frozenset(component)
            if all(other in inside for node in component for other in self.after(node)):
                found.append(component)
        return sorted((circle(self.graph, each) for each in found), key=lambda path: path[0])


def endless_cycles(completion: Completion) -> Iterator[Finding]:
    """One finding for each innermost circle; a warning if it takes its time, or was not read in full."""
    graph = completion.graph
    for path in completion.circles:
        handlers = [graph.nodes[node] for node in path if node in graph.nodes]
        is_sure = not any(each.timer or not each.inferred for each in handlers)
        severity: Severity = "error" if is_sure else "warning"
        yield Finding(
            code="OS201",
            severity=severity,
            what=f"{path[0]} causes itself again for ever: no handler on the way may end otherwise",
            mend="return something else, or nothing, in one case: `-> Again | None`",
            service=handlers[0].service,
            handler=handlers[0].name,
            event=path[0],
            path=path,
        )


def endless_processes(completion: Completion) -> Iterator[Finding]:
    """Declared processes whose start cannot complete: each ends in one of the circles, whatever is decided."""
    ends = {node for path in completion.circles for node in path}
    for process in completion.graph.manifest.processes:
        for start in (name for name in process.starts if name in completion.stuck):
            ways = Ways([start], completion.after)
            into = next(node for node in ways if node in ends)
            yield Finding(
                code="OS202",
                severity="error",
                what=f"process {process.name}, begun by {start}, can never come to its end",
                mend=f"give the circle at {into} a way out (see OS201)",
                service=process.owner,
                event=start,
                path=ways.path(into),
            )
