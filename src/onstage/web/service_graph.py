"""The map with its events collapsed: services, and one edge from each to each that handles what it emits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.observe.service_map import OUTSIDE

if TYPE_CHECKING:
    from onstage.web.shown_around import MapPage, Tallied

__all__ = ["Between", "Graph", "Spot", "graph_of"]

AROUND_ABOVE: Final = 150
"""With more services than this only what is around one of them is drawn, unless all of it is asked for."""


@final
class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """One service: how many handlers, what is open at them, what was set aside."""

    name: str
    handlers: int
    open: int
    failed: int


@final
class Between(msgspec.Struct, frozen=True, kw_only=True):
    """All events that go from one service to another. `mark` is "not declared" if one is, "never seen" if all."""

    source: str
    target: str
    events: tuple[str, ...]
    count: int
    rate_s: float
    open: int
    failed: int
    p95_ms: int | None
    mark: str | None


@final
class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn. With `around` it is the neighbourhood of that service; `left_out` are so many others."""

    topology: str
    nodes: tuple[Spot, ...]
    edges: tuple[Between, ...]
    around: str | None = None
    left_out: int = 0


def graph_of(page: MapPage, *, around: str | None = None, whole: bool = False) -> Graph:
    """The graph of services, around one, or all of it: with very many only if the `whole` is asked for."""
    owner = {handler: service for service, handlers in page.services.items() for handler in handlers}
    emitted: dict[str, list[Tallied]] = {}
    handled: dict[str, list[Tallied]] = {}
    for edge in page.edges:
        is_out = edge.kind in ("emits", "asks")
        (emitted if is_out else handled).setdefault(edge.target if is_out else edge.source, []).append(edge)
    between: dict[tuple[str, str], list[tuple[str, Tallied, Tallied]]] = {}
    for event, sources in emitted.items():
        for source in sources:
            for target in handled.get(event, ()):
                pair = _service(source.source, owner), _service(target.target, owner)
                between.setdefault(pair, []).append((event, source, target))
    edges = tuple(_between(pair, parts) for pair, parts in sorted(between.items()))
    names = list(dict.fromkeys([*page.services, *(end for pair in sorted(between) for end in pair)]))
    if around is None and not whole and len(names) > AROUND_ABOVE:
        around = max(names, key=lambda name: sum(name in (edge.source, edge.target) for edge in edges))
    if around is not None:
        edges = tuple(edge for edge in edges if around in (edge.source, edge.target))
        near = {around, *(edge.source for edge in edges), *(edge.target for edge in edges)}
        shown = [name for name in names if name in near]
    else:
        shown = names
    return Graph(
        topology=page.topology,
        nodes=tuple(_spot(name, page, handled, owner) for name in shown),
        edges=edges,
        around=around,
        left_out=len(names) - len(shown),
    )


def _service(handler: str, owner: dict[str, str]) -> str:
    return handler if handler == OUTSIDE else owner.get(handler, handler.partition(".")[0])


def _spot(name: str, page: MapPage, handled: dict[str, list[Tallied]], owner: dict[str, str]) -> Spot:
    here = [edge for edges in handled.values() for edge in edges if _service(edge.target, owner) == name]
    return Spot(
        name=name,
        handlers=len(page.services.get(name, ())),
        open=sum(edge.open for edge in here),
        failed=sum(edge.failed for edge in here),
    )


def _between(pair: tuple[str, str], parts: list[tuple[str, Tallied, Tallied]]) -> Between:
    targets = [target for _, _, target in parts]
    sources = {source.source + event: source for event, source, _ in parts}.values()
    marks = {mark for _, source, target in parts for mark in (source.mark, target.mark)}
    seen = any(not (source.mark or target.mark) for _, source, target in parts)
    slow = [target.p95_ms for target in targets if target.p95_ms is not None]
    return Between(
        source=pair[0],
        target=pair[1],
        events=tuple(dict.fromkeys(event for event, _, _ in parts)),
        count=sum(source.count for source in sources),
        rate_s=sum(source.rate_s for source in sources),
        open=sum(target.open for target in targets),
        failed=sum(target.failed for target in targets),
        p95_ms=max(slow, default=None),
        mark="not declared" if "not declared" in marks else None if seen else "never seen",
    )
