"""The map: which handlers emit which events and which handlers react, as declared, as observed, and the difference.

Theory of operation. `declared_map` reads edges from a manifest. A `Tally` is told of every stored event and execution,
one after the other, and keeps one `Counted` per edge, so that its size is that of the map and not of the store.
`observed_map` lays the two over each other: an edge that only one of them knows is marked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Literal, final

import msgspec

from onstage.contracts.event_graph import EventGraph
from onstage.contracts.manifest import AppManifest
from onstage.events.receipt import Status

__all__ = [
    "OUTSIDE",
    "Counted",
    "Edge",
    "Kind",
    "ServiceMap",
    "Spread",
    "Tally",
    "declared_map",
    "narrowed",
    "observed_map",
]

Kind = Literal["emits", "asks", "starts", "waits", "tells"]

OUTSIDE: Final = "outside"
"""The node from which events come that no handler emitted."""

_FAILED: Final = frozenset({Status.PARKED, Status.DIVERGED, Status.DROPPED})
_EXACT: Final = 64
_BITS: Final = 6


@final
class Spread:
    """How long things took: counts per width, so that its size is bounded (some hundred numbers for any durations).

    Durations below 64 ms are exact, others within 1/32 of their value.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self._counts: dict[int, int] = {}
        self.count = 0

    def add(self, ms: int) -> None:
        """One more; less than 0 (a clock was set back) counts as 0."""
        low = _low_of(max(ms, 0))
        self._counts[low] = self._counts.get(low, 0) + 1
        self.count += 1

    def __len__(self) -> int:
        """How many numbers it keeps."""
        return len(self._counts)

    def quantile(self, share: float) -> int | None:
        """The least duration (ms) that so large a share of them does not exceed; None if there is none."""
        wanted, passed = share * self.count, 0
        for low in sorted(self._counts):
            passed += self._counts[low]
            if passed >= wanted:
                return low
        return None


def _low_of(ms: int) -> int:
    if ms < _EXACT:
        return ms
    shift = ms.bit_length() - _BITS
    return ms >> shift << shift


@final
class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen on an edge: how often, how many failed (dead letters, divergences, what was dropped), and rejected.

    `p50_ms` and `p95_ms` are of the executions that ended, from their first run on, waits included.
    """

    count: int
    failed: int = 0
    rejected: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None


@final
class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One edge between a handler and an event type.

    A handler `emits` or `asks` an event; an event `starts` a handler, `tells` one that only listens, or is one that it
    `waits` for. Events from outside are emitted by `OUTSIDE`. `seen` is None on a map that is only declared, and where
    nothing was seen.
    """

    source: str
    target: str
    kind: Kind
    declared: bool = True
    seen: Counted | None = None

    @property
    def event(self) -> str:
        """The event type at one of its ends."""
        return self.target if self.kind in ("emits", "asks") else self.source

    @property
    def handler(self) -> str:
        """The handler at the other end, or `OUTSIDE`."""
        return self.source if self.kind in ("emits", "asks") else self.target


@final
class ServiceMap(msgspec.Struct, frozen=True, kw_only=True):
    """Handlers by service, event types and edges, each sorted. `observed` says whether a store was looked at."""

    services: dict[str, tuple[str, ...]]
    events: tuple[str, ...]
    edges: tuple[Edge, ...]
    observed: bool = False

    def mark(self, edge: Edge) -> str | None:
        """What is to be said of an edge: `never seen`, or `not declared`; None if nothing, or nobody looked."""
        if not self.observed:
            return None
        if not edge.declared:
            return "not declared"
        return "never seen" if edge.seen is None else None


def declared_map(manifest: AppManifest) -> ServiceMap:
    """The map of what a manifest declares. What nobody emits comes from outside, and what a process says does."""
    graph = EventGraph(manifest)
    edges = [
        Edge(source=OUTSIDE, target=name, kind="emits")
        for name in graph.types
        if name in graph.from_outside or not (graph.emitted[name] or graph.asked[name])
    ]
    for name in graph.types:
        edges += [Edge(source=each.name, target=name, kind="emits") for each in graph.emitted[name]]
        edges += [Edge(source=each.name, target=name, kind="asks") for each in graph.asked[name]]
        edges += [
            Edge(source=name, target=each.name, kind="starts" if each.gating else "tells") for each in graph.heard[name]
        ]
        edges += [Edge(source=name, target=each.name, kind="waits") for each in graph.waited[name]]
    return _map_of(edges, [each.name for each in graph.handlers], graph.types)


@final
class Tally:
    """What was seen of each edge, told row by row."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._emitted: dict[tuple[str, str], int] = {}
        self._waited: dict[tuple[str, str], int] = {}
        self._started: dict[tuple[str, str], list[int]] = {}
        self._spreads: dict[tuple[str, str], Spread] = {}

    def event(self, type: str, handler: str | None) -> None:
        """An event was emitted by a handler, or came from outside (None)."""
        edge = (handler or OUTSIDE, type)
        self._emitted[edge] = self._emitted.get(edge, 0) + 1

    def mail(self, type: str, handler: str) -> None:
        """An event came for a handler that may wait for it."""
        self._waited[type, handler] = self._waited.get((type, handler), 0) + 1

    def execution(self, type: str, handler: str, status: int, took_ms: int | None) -> None:
        """An event was given to a handler; `took_ms` is how long that took, None if it has not ended."""
        numbers = self._started.setdefault((type, handler), [0, 0, 0])
        numbers[0] += 1
        numbers[1] += status in _FAILED
        numbers[2] += status == Status.REJECTED
        if took_ms is not None:
            self._spreads.setdefault((type, handler), Spread()).add(took_ms)

    def seen(self) -> dict[tuple[str, str, str], Counted]:
        """What was counted, by (source, target, "emits", "waits" or "starts")."""
        found = {(*edge, "emits"): Counted(count=count) for edge, count in self._emitted.items()}
        found |= {(*edge, "waits"): Counted(count=count) for edge, count in self._waited.items()}
        for edge, (count, failed, rejected) in self._started.items():
            spread = self._spreads.get(edge, Spread())
            middle, late = spread.quantile(0.5), spread.quantile(0.95)
            found[*edge, "starts"] = Counted(count=count, failed=failed, rejected=rejected, p50_ms=middle, p95_ms=late)
        return found


_SAME_AS: Final[dict[str, Kind]] = {"asks": "emits", "tells": "starts"}


def observed_map(declared: ServiceMap, tally: Tally) -> ServiceMap:
    """The declared map with what was seen on each edge, and the edges that were seen but not declared."""
    seen = tally.seen()
    edges = []
    for edge in declared.edges:
        found = seen.pop((edge.source, edge.target, _SAME_AS.get(edge.kind, edge.kind)), None)
        edges.append(msgspec.structs.replace(edge, seen=found))
    kinds: dict[str, Kind] = {"emits": "emits", "starts": "starts", "waits": "waits"}
    for (source, target, kind), counted in seen.items():
        edges.append(Edge(source=source, target=target, kind=kinds[kind], declared=False, seen=counted))
    handlers = {handler for handlers in declared.services.values() for handler in handlers}
    handlers |= {edge.handler for edge in edges} - {OUTSIDE}
    return _map_of(edges, handlers, {*declared.events, *(edge.event for edge in edges)}, observed=True)


def narrowed(whole: ServiceMap, *, services: Collection[str] = (), types: Collection[str] = ()) -> ServiceMap:
    """The edges at handlers of these services (all if empty) and at these event types (all if empty), and their ends.

    An event of a service keeps all its edges, so that one sees whom the service hears and who hears it.
    """
    edges = [edge for edge in whole.edges if not types or edge.event in types]
    if services:
        own = {edge.event for edge in edges if edge.handler.partition(".")[0] in services}
        edges = [edge for edge in edges if edge.event in own]
    elif not types:
        return whole
    handlers = {edge.handler for edge in edges} - {OUTSIDE}
    handlers |= {name for service in services for name in whole.services.get(service, ()) if not types}
    return _map_of(edges, handlers, {edge.event for edge in edges}, observed=whole.observed)


def _map_of(
    edges: Iterable[Edge], handlers: Iterable[str], events: Iterable[str], *, observed: bool = False
) -> ServiceMap:
    services: dict[str, tuple[str, ...]] = {}
    for name in sorted(set(handlers)):
        service = name.partition(".")[0]
        services[service] = (*services.get(service, ()), name)
    ordered = sorted(edges, key=lambda edge: (edge.event, edge.kind, edge.source, edge.target))
    return ServiceMap(
        services=dict(sorted(services.items())),
        events=tuple(sorted(set(events))),
        edges=tuple(ordered),
        observed=observed,
    )
