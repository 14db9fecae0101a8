"""How services hang together: whom each one hears and reaches, and whom a change of an event type concerns."""

from __future__ import annotations

from typing import final

import msgspec

from onstage.contracts.event_graph import EventGraph

__all__ = ["Coupling", "Impact", "coupling_of", "impact_of"]


@final
class Coupling(msgspec.Struct, frozen=True, kw_only=True):
    """One service: whose events it hears, who hears its, whom it asks and who asks it, each sorted."""

    service: str
    hears: tuple[str, ...] = ()
    heard_by: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    asked_by: tuple[str, ...] = ()


@final
class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a change of an event type concerns: who makes it, who reads it, and who is started by what follows from it.

    `process` are the declared processes that name it. Services and processes are sorted.
    """

    type: str
    makers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    process: tuple[str, ...] = ()


def coupling_of(graph: EventGraph) -> tuple[Coupling, ...]:
    """Every service, in the order of names."""
    services = sorted({each.service for each in graph.handlers})
    hears: dict[str, set[str]] = {name: set() for name in services}
    heard_by: dict[str, set[str]] = {name: set() for name in services}
    asks: dict[str, set[str]] = {name: set() for name in services}
    asked_by: dict[str, set[str]] = {name: set() for name in services}
    for name in graph.types:
        makers = sorted({each.service for each in graph.emitted[name]})
        readers = sorted({each.service for each in (*graph.heard[name], *graph.waited[name])})
        _join(hears, heard_by, readers, makers)
        answering = sorted({each.service for each in graph.answered[name]})
        _join(asks, asked_by, sorted({each.service for each in graph.asked[name]}), answering)
    return tuple(
        Coupling(
            service=name,
            hears=tuple(sorted(hears[name])),
            heard_by=tuple(sorted(heard_by[name])),
            asks=tuple(sorted(asks[name])),
            asked_by=tuple(sorted(asked_by[name])),
        )
        for name in services
    )


def _join(forth: dict[str, set[str]], back: dict[str, set[str]], some: list[str], others: list[str]) -> None:
    for one in some:
        forth[one].update(other for other in others if other != one)
    for other in others:
        back[other].update(one for one in some if one != other)


def impact_of(graph: EventGraph, name: str) -> Impact:
    """Whom a change of the event type `name` concerns; all empty for a type that nobody names."""
    if name not in graph.heard:
        return Impact(type=name)
    readers = {each.service for each in (*graph.heard[name], *graph.waited[name])}
    reached = [graph.nodes[node].service for node in graph.ways([name]) if node in graph.nodes]
    processes = graph.manifest.processes
    named = {p.name for p in processes if name in (*p.starts, *p.done, *p.failed, *p.external, *p.within_s)}
    return Impact(
        type=name,
        makers=tuple(sorted({each.service for each in (*graph.emitted[name], *graph.asked[name])})),
        readers=tuple(sorted(readers)),
        downstream=tuple(sorted(set(reached) - readers)),
        process=tuple(sorted(named)),
    )
