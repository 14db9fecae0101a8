"""Snags: what keeps open obligations from going on although nothing has set them aside. Found behind the log.

Two kinds are looked for. No live node has the handler: of a node's own store what the running application lacks, of an
observer's what `Presence` says. And a lane cycle: an execution waits for a lane whose holder waits for what comes of
it; looked for where handlers ask in a circle. Which handlers are missing is noted with what is told of it, so that a
new life frees what an earlier one has found blocked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.contracts.check_requests import ask_circles
from onstage.contracts.event_graph import EventGraph
from onstage.core.commit import Note, event_of, handler_of
from onstage.events.receipt import Status
from onstage.observe.progress import LANE_CYCLE, NO_NODE
from onstage.runtime.watch import holder_above

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from onstage.contracts.manifest import AppManifest
    from onstage.ports.store import ExecutionView, Reader

__all__ = ["MISSING", "Snag", "Snags", "circular", "obligation_of"]

MISSING: Final = "missing handlers"
"""The topic of the note that names the handlers which no live node had."""
PAGE: Final = 100
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(list[str]).decode


class Snag(NamedTuple):
    """An open obligation, and what keeps it from going on; None if nothing does any more."""

    view: ExecutionView
    why: str | None


def obligation_of(view: ExecutionView) -> str:
    """What progress calls it."""
    return f"{event_of(view.id)}/{handler_of(view.id)}"


def circular(manifest: AppManifest) -> dict[str, str | None]:
    """The handlers that ask in a circle, each with the field that its lanes are made of."""
    graph = EventGraph(manifest)
    found = (graph.nodes[node] for component in ask_circles(graph) for node in component)
    return {each.name: each.key for each in found if each.lane == "until-end"}


@final
class Snags:
    """Looks for snags in one store. `load` it before the first look."""

    def __init__(self, reader: Reader, missing: Callable[[], frozenset[str]], circles: dict[str, str | None]) -> None:
        """`missing` answers which handlers of the store have no live node now; `circles` as `circular` makes them."""
        self._reader = reader
        self._missing = missing
        self._circles = circles
        self._known: frozenset[str] = frozenset()
        self._freeing: frozenset[str] = frozenset()
        self._places: dict[str, int] = {}
        self._suspects: dict[int, None] = {}

    async def load(self) -> None:
        """Learn what an earlier life has found."""
        notes = await self._reader.notes(MISSING, limit=1)
        self._known = frozenset(_DECODE(notes[0].body)) if notes else frozenset()
        for handler in self._circles:
            async for page in self._open(handler, 0, [Status.WAITING]):
                self._suspects |= dict.fromkeys(view.process for view in page)

    def heard(self, process: int, handler: str, status: int) -> None:
        """A receipt was read: if who asks in a circle waits now, its process is looked at."""
        if status == Status.WAITING and handler in self._circles:
            self._suspects[process] = None

    @property
    def note(self) -> Note:
        """What is to be kept with what a look has found: those that are back as well, until all of theirs is freed."""
        return Note(MISSING, 0, _ENCODE(sorted(self._known | self._freeing)))

    async def look(self) -> AsyncIterator[list[Snag]]:
        """What was found since the last look, in pages."""
        missing = self._missing()
        self._freeing |= self._known - missing
        self._known = missing
        for handler in sorted(self._freeing - missing):
            self._places.pop(handler, None)
            async for page in self._open(handler, 0, range(Status.DONE)):
                yield [Snag(view, None) for view in page]
        self._freeing = frozenset()
        for handler in sorted(missing):
            async for page in self._open(handler, self._places.get(handler, 0), range(Status.DONE)):
                self._places[handler] = page[-1].id
                yield [Snag(view, NO_NODE) for view in page if view.gating]
        for process in tuple(self._suspects):
            del self._suspects[process]
            if behind := await self._behind(process):
                yield behind

    async def _behind(self, process: int) -> list[Snag]:
        ready = await self._reader.executions(process=process, statuses=[Status.READY], limit=PAGE)
        found = [
            view
            for view in ready
            if view.handler in self._circles and await holder_above(self._reader, view, self._circles[view.handler])
        ]
        return [Snag(view, LANE_CYCLE) for view in found]

    async def _open(self, handler: str, after: int, statuses: Iterable[int]) -> AsyncIterator[list[ExecutionView]]:
        while page := await self._reader.executions(handler=handler, statuses=statuses, after=after, limit=PAGE):
            yield page
            after = page[-1].id
