"""What can still happen in a process: reachability in the manifests, from what is open in it.

Theory of operation. What a process will ever hold comes of its open obligations, or from outside. A handler can emit
and ask what it declares, and no more; what it emits starts the handlers of that type, and so on. So a type that is not
reached from anything open cannot come, and stays so, for what opens later is reached too. Every doubt is decided for
"it can": an open handler counts with all that it declares, whatever it has done already.

From outside can come what nobody here emits or asks, and what some process declares `external`. A type that begins a
process is not expected in one that has begun, unless a second start joins it (`one_per_key`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from onstage.contracts.event_graph import EventGraph, node_of
from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest
from onstage.events.topic import SYSTEM_PREFIX

__all__ = ["Possible"]

_NOTHING: Final = frozenset[str]()


@final
class Possible:
    """What can still happen, in one topology; what is reached from a handler or type is worked out once."""

    def __init__(self, manifest: AppManifest) -> None:
        """Index the manifest."""
        self._graph = EventGraph(manifest)
        self._handlers = {each.name: each for each in self._graph.handlers}
        self._declared = {each.name: each for each in manifest.processes}
        self._reached: dict[str, frozenset[str]] = {}
        self._outside: dict[tuple[str | None, str], frozenset[str]] = {}
        external = {name for each in manifest.processes for name in each.external}
        starts = {name for each in manifest.processes for name in each.starts}
        unmade = {name for name in self._graph.types if not self._is_made(name)}
        self._external = frozenset(external)
        own = {name for name in unmade if name.startswith(SYSTEM_PREFIX)}  # these begin processes of their own
        self._given = frozenset((unmade - starts - own) | external)

    def _is_made(self, name: str) -> bool:
        return bool(self._graph.emitted[name] or self._graph.asked[name])

    def can_fail(self, handler: HandlerManifest) -> bool:
        """Whether a wait of this handler may ever be found hopeless."""
        return any(self.is_judged(name) for name in handler.waits)

    def is_judged(self, name: str) -> bool:
        """Whether this type comes only of what handlers do."""
        if name not in self._graph.emitted or name.startswith(SYSTEM_PREFIX):
            return False
        return self._is_made(name) and name not in self._external

    def can_still_happen(
        self, type: str, handlers: Iterable[str], *, declared: str | None, root: str, kept: Iterable[str] = ()
    ) -> bool:
        """Whether an event of this type can still come in a process in which these handlers have open obligations.

        `declared` is the process' name, `root` the type of its first event; `kept` are the types of delayed events that
        are still to be emitted in it. A handler that is not known may do anything.
        """
        if not self.is_judged(type) or type in self._from_outside(declared, root):
            return True
        for name in handlers:
            handler = self._handlers.get(name)
            if handler is None or type in self._after(node_of(handler)):
                return True
        return any(type == name or name not in self._graph.emitted or type in self._after(name) for name in kept)

    def _after(self, node: str) -> frozenset[str]:
        found = self._reached.get(node)
        if found is None:
            found = self._reached[node] = frozenset(self._graph.ways([node]))
        return found

    def _from_outside(self, declared: str | None, root: str) -> frozenset[str]:
        """What may come from outside, and all that follows from it."""
        process = self._declared.get(declared or "")
        place = (declared, root if root in self._given else "")
        found = self._outside.get(place)
        if found is None:
            given = self._given - (_NOTHING if root in self._external else {root})
            ways = self._graph.ways(sorted(given | _joining(process)))
            found = self._outside[place] = frozenset(ways)
        return found


def _joining(process: ProcessManifest | None) -> set[str]:
    """What a declared process itself may still be given: a second start, or the outcome that its deadline makes."""
    if process is None:
        return set()
    again = process.starts if process.one_per_key else ()
    late = (*process.done, *process.failed) if process.late else ()
    return {*again, *late}
