"""Rules about going round, and about lanes: events that cause each other with no timer, keys that differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from onstage.contracts.check_codes import Finding, about
from onstage.contracts.event_graph import EventGraph, Ways, strong_components

__all__ = ["circle", "other_keys", "timeless_cycles"]


def timeless_cycles(graph: EventGraph, endless: frozenset[str]) -> Iterator[Finding]:
    """Circles of events on which no handler sleeps, limits a wait or emits later; not those that touch `endless`."""
    quick = {node for node, handler in graph.nodes.items() if not handler.timer}

    def after(node: str) -> list[str]:
        return [other for other in graph.after(node) if other in quick or other in graph.heard]

    for component in strong_components((*graph.types, *sorted(quick)), after):
        if len(component) == 1 or not endless.isdisjoint(component):
            continue
        path = circle(graph, component)
        handler = graph.nodes[path[1]]
        what = f"{path[0]} can cause itself again, and nothing on the way takes time"
        mend = "count the rounds in the event and stop, or sleep between two of them; a process has a greatest depth"
        yield about(handler, "OS106", "warning", what, mend, event=path[0], path=path)


def other_keys(graph: EventGraph) -> Iterator[Finding]:
    """Handlers that are ordered by another field than the event is."""
    keys = {each.name: each.key for each in graph.manifest.types}
    for handler in graph.handlers:
        for name in handler.triggers if handler.key is not None else ():
            if keys.get(name, handler.key) != handler.key:
                own = keys[name] or "no key"
                what = f"{handler.name} keeps order by {handler.key}, while {name} has {own}"
                mend = "events with the same key may run at once or in another order here; if that is meant, ignore it"
                yield about(handler, "OS112", "info", what, mend, event=name)


def circle(graph: EventGraph, component: Collection[str]) -> tuple[str, ...]:
    """A shortest way from the component's first event back to it, inside the component."""
    inside = frozenset(component)
    first = min(node for node in inside if node in graph.heard)
    ways = Ways([first], lambda node: [other for other in graph.after(node) if other in inside])
    last = next(node for node in ways if node != first and first in graph.after(node))
    return (*ways.path(last), first)
