"""Manifests as a graph: which handlers hear an event, which emit it, what is reached from where and on which way.

Theory of operation. Events and handlers are the two kinds of nodes; an edge leads from an event to each handler that
hears it, and from a handler to each event that it may emit or ask. Everything is indexed once, and each walk takes a
node and an edge once, so that the work is linear in the manifests. The exception is topic patterns, each of which
is compared with each type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, final

from onstage.contracts.manifest import AppManifest, HandlerManifest
from onstage.events.topic import SYSTEM_PREFIX, Topic

__all__ = ["PATH_SHOWN", "EventGraph", "Ways", "node_of", "strong_components"]

PATH_SHOWN: Final = 16
"""A path that is longer is shown by its last so many nodes."""


def node_of(handler: HandlerManifest) -> str:
    """The node of a handler, as paths show it; no event is called so."""
    return f"{handler.name}()"


@final
class EventGraph:
    """The index of one manifest. Every list is in the order of names, so that what is made of it is the same each time.

    `heard` are the handlers that an event starts, `gated` the gating ones among them, `waited` those that may wait for
    it, `emitted` those that may emit it, `asked` those that ask it as a request, `answered` those that answer it.
    `starting` are the events that start a handler, by its name; `nodes` are the handlers by their node.
    """

    def __init__(self, manifest: AppManifest) -> None:
        """Index it."""
        self.manifest = manifest
        self.handlers = tuple(sorted(manifest.handlers, key=lambda each: each.name))
        self.nodes = {node_of(each): each for each in self.handlers}
        self.types = tuple(sorted(set(_mentioned(manifest))))
        self.heard: dict[str, list[HandlerManifest]] = {name: [] for name in self.types}
        self.gated: dict[str, list[HandlerManifest]] = {name: [] for name in self.types}
        self.waited: dict[str, list[HandlerManifest]] = {name: [] for name in self.types}
        self.emitted: dict[str, list[HandlerManifest]] = {name: [] for name in self.types}
        self.asked: dict[str, list[HandlerManifest]] = {name: [] for name in self.types}
        self.answered: dict[str, list[HandlerManifest]] = {name: [] for name in self.types}
        self.starting: dict[str, tuple[str, ...]] = {}
        self._after: dict[str, tuple[str, ...]] = {}
        for each in self.handlers:
            self._add(each)
        self._after |= {name: tuple(map(node_of, heard)) for name, heard in self.heard.items()}
        self.outcomes = frozenset(
            name for process in manifest.processes for name in (*process.done, *process.failed, *process.within_s)
        )
        self.from_outside = frozenset(
            name for process in manifest.processes for name in (*process.starts, *process.external)
        )

    def _add(self, handler: HandlerManifest) -> None:
        heard = self._matching(handler) if handler.pattern else handler.triggers
        if handler.answers is not None:
            heard = (*heard, handler.answers)
            self.answered[handler.answers].append(handler)
        self.starting[handler.name] = tuple(dict.fromkeys(heard))
        for name in self.starting[handler.name]:
            self.heard[name].append(handler)
            if handler.gating:
                self.gated[name].append(handler)
        said = (*handler.emits, *(name for way in handler.alternatives for name in way))
        for index, names in ((self.waited, handler.waits), (self.emitted, said), (self.asked, handler.asks)):
            for name in dict.fromkeys(names):
                index[name].append(handler)
        self._after[node_of(handler)] = tuple(dict.fromkeys((*said, *handler.asks)))

    def _matching(self, handler: HandlerManifest) -> tuple[str, ...]:
        topics = [Topic(pattern) for pattern in handler.triggers]
        return tuple(name for name in self.types if any(topic.matches(name) for topic in topics))

    def is_given(self, name: str) -> bool:
        """Whether an event is said to come from outside: it starts a process, is external, or is Onstage's own."""
        return name in self.from_outside or name.startswith(SYSTEM_PREFIX)

    def is_made(self, name: str) -> bool:
        """Whether a handler emits an event, or asks it, or a request may be asked from outside."""
        return bool(self.emitted[name] or self.asked[name] or self.answered[name])

    def after(self, node: str) -> Sequence[str]:
        """The nodes to which a node leads. A wait is no edge: it goes on with what has begun already."""
        return self._after.get(node, ())

    def reached_by(self, starts: Sequence[Iterable[str]]) -> dict[str, int]:
        """For each node a mask with bit `i` set if it is reached from one of `starts[i]`; one walk for all of them."""
        masks = dict.fromkeys((*self.types, *self.nodes), 0)
        for place, names in enumerate(starts):
            for name in names:
                masks[name] |= 1 << place
        for component in reversed(strong_components(masks, self.after)):
            shared = 0
            for node in component:
                shared |= masks[node]
            for node in component:
                masks[node] = shared
                for other in self.after(node) if shared else ():
                    masks[other] |= shared
        return masks

    def ways(self, starts: Iterable[str]) -> Ways:
        """What is reached from these nodes, and the shortest path to each."""
        return Ways(starts, self.after)


@final
class Ways:
    """The nodes that are reached from some starts, each with its predecessor on a shortest path."""

    def __init__(self, starts: Iterable[str], after: Callable[[str], Sequence[str]]) -> None:
        """Walk in breadth, each node once; among equals the first start and the first edge win."""
        self._before: dict[str, str | None] = dict.fromkeys(starts)
        queue = list(self._before)
        for node in queue:  # grows while it is read
            for other in after(node):
                if other not in self._before:
                    self._before[other] = node
                    queue.append(other)

    def __contains__(self, node: object) -> bool:
        """Whether a node is reached."""
        return node in self._before

    def __iter__(self) -> Iterator[str]:
        """The nodes, the nearest first."""
        return iter(self._before)

    def path(self, node: str) -> tuple[str, ...]:
        """A shortest path to a node, its last `PATH_SHOWN` nodes after "…" if it is longer; empty if not reached."""
        if node not in self._before:
            return ()
        found, at = [node], self._before[node]
        while at is not None and len(found) < PATH_SHOWN:
            found.append(at)
            at = self._before[at]
        return tuple(reversed(found if at is None else [*found, "…"]))


def strong_components(nodes: Iterable[str], after: Callable[[str], Iterable[str]]) -> list[tuple[str, ...]]:
    """Return the sets of nodes that lead to each other; what a set leads to comes before it.

    A node alone is a set too, whether or not it leads to itself.
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    is_open: set[str] = set()
    path: list[tuple[str, Iterator[str]]] = []  # Tarjan's recursion, spelt out
    found: list[tuple[str, ...]] = []

    def enter(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        is_open.add(node)
        path.append((node, iter(after(node))))

    def leave(node: str) -> None:
        path.pop()
        if path:
            above = path[-1][0]
            low[above] = min(low[above], low[node])
        if low[node] == number[node]:
            component = list(iter(stack.pop, node))
            component.append(node)
            is_open.difference_update(component)
            found.append(tuple(reversed(component)))

    for root in nodes:
        if root not in number:
            enter(root)
        while path:
            node, rest = path[-1]
            other = next(rest, None)
            if other is None:
                leave(node)
            elif other not in number:
                enter(other)
            elif other in is_open:
                low[node] = min(low[node], number[other])
    return found


def _mentioned(manifest: AppManifest) -> Iterator[str]:
    yield from (each.name for each in manifest.types)
    for handler in manifest.handlers:
        yield from () if handler.pattern else handler.triggers
        yield from (*handler.emits, *handler.waits, *handler.asks)
        yield from (name for way in handler.alternatives for name in way)
        if handler.answers is not None:
            yield handler.answers
    for process in manifest.processes:
        yield from (*process.starts, *process.done, *process.failed, *process.external, *process.within_s)
