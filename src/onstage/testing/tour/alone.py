"""The same orders on one node, without a broker: what they come to there they must come to everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.events.event import event_type
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.inline_workers import InlineWorkers
from onstage.testing.tour.repertory import tour_app
from onstage.testing.virtual_clock import VirtualClock
from onstage.testing.virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["played_alone"]

PATIENCE_S = 300.0


def played_alone(seed: int, events: Sequence[object], path: Path) -> dict[bytes, str | None]:
    """The outcome of the process that each event begins, by its payload."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(_play(seed, events, path, loop))
    finally:
        loop.bury()


async def _play(seed: int, events: Sequence[object], path: Path, loop: VirtualLoop) -> dict[bytes, str | None]:
    app, clock, workers = tour_app(), VirtualClock(seed, loop.time), InlineWorkers()
    store = SqliteStore(path, clock=clock, workers=workers, synchronous="OFF")
    node = Node(app.services, app.processes, store=store, clock=clock, workers=workers)
    await node.start()
    ways, found = LocalWays(node), dict[bytes, str | None]()
    for event in events:
        known = event_type(type(event))
        process = await ways.emit(known.name, known.encode(event), id=None, source=None)
        found[known.encode(event)] = (await ways.verdict(process, PATIENCE_S)).outcome
    await node.close()
    return found
