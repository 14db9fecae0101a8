"""`check`: what can be said about services from their manifests alone, before anything runs.

Pure, and over manifests only, so that it also works for services whose code is elsewhere. Work is linear in the size
of the manifests, except that a topic pattern is compared with every type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import final

import msgspec

from onstage.contracts.check_choices import decided_twice, endless_waits, lost_alternatives
from onstage.contracts.check_codes import CODES, Finding, in_order
from onstage.contracts.check_completion import Completion, endless_cycles, endless_processes
from onstage.contracts.check_cycles import other_keys, timeless_cycles
from onstage.contracts.check_reach import (
    dead_handlers,
    unheard_events,
    unproduced_triggers,
    unproduced_waits,
    unreachable_outcomes,
    ways_from_outside,
)
from onstage.contracts.check_requests import ask_chains, asked_back, many_asks, two_answers, unanswered
from onstage.contracts.coupling import Coupling, coupling_of
from onstage.contracts.event_graph import EventGraph
from onstage.contracts.manifest import AppManifest

__all__ = ["Report", "check", "merged"]


@final
class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, errors first, and how the services hang together. `ignored` is how many findings are left out."""

    findings: tuple[Finding, ...] = ()
    coupling: tuple[Coupling, ...] = ()
    ignored: int = 0

    @property
    def is_well(self) -> bool:
        """Whether there is no error; warnings and notes are allowed."""
        return not any(each.severity == "error" for each in self.findings)


def check(manifest: AppManifest, *, places: Mapping[str, str] | None = None, ignore: Collection[str] = ()) -> Report:
    """Look for what cannot work. `places` says where handlers are declared; codes in `ignore` are left out.

    The report is the same for the same declarations, in whatever order they were made.

    Raises:
        ValueError: if there is no such code to ignore.
    """
    unknown = sorted(set(ignore) - CODES.keys())
    if unknown:
        raise ValueError(f"there is no code {unknown[0]}")
    graph = EventGraph(manifest)
    found = in_order(_findings(graph))
    kept = [each for each in found if each.code not in ignore]
    known = places or {}
    placed = [msgspec.structs.replace(each, where=known.get(each.handler or "")) for each in kept]
    return Report(findings=tuple(placed), coupling=coupling_of(graph), ignored=len(found) - len(kept))


def _findings(graph: EventGraph) -> Iterator[Finding]:
    ways = ways_from_outside(graph)
    completion = Completion(graph)
    yield from unheard_events(graph, ways)
    yield from dead_handlers(graph, ways)
    yield from unproduced_triggers(graph)
    yield from unproduced_waits(graph, ways)
    yield from unreachable_outcomes(graph)
    yield from timeless_cycles(graph, frozenset(node for path in completion.circles for node in path))
    yield from two_answers(graph)
    yield from unanswered(graph)
    yield from many_asks(graph)
    yield from asked_back(graph)
    yield from ask_chains(graph)
    yield from other_keys(graph)
    yield from lost_alternatives(graph, ways)
    yield from endless_waits(graph)
    yield from decided_twice(graph)
    yield from endless_cycles(completion)
    yield from endless_processes(completion)


def merged(manifests: Collection[AppManifest]) -> AppManifest:
    """The manifests of several applications as one; of what two of them declare, the first counts."""
    handlers = {each.name: each for manifest in reversed(list(manifests)) for each in manifest.handlers}
    processes = {each.name: each for manifest in reversed(list(manifests)) for each in manifest.processes}
    types = {(each.name, each.version): each for manifest in reversed(list(manifests)) for each in manifest.types}
    return AppManifest(
        handlers=tuple(handlers[name] for name in sorted(handlers)),
        processes=tuple(processes[name] for name in sorted(processes)),
        types=tuple(types[key] for key in sorted(types)),
    )
