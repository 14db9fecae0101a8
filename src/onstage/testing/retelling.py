"""A history told again: what tests that were copied from the web UI are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.contracts.validation import event_types

if TYPE_CHECKING:
    from onstage.app import App
    from onstage.observe.verdict import Verdict
    from onstage.testing.sim import Sim

__all__ = ["as_event", "reached", "types_of"]

_LOOKS: Final = 20
_PAGE: Final = 1_000


def as_event(app: App, type: str, payload: Any) -> Any:
    """An event of this application by the name of its type, from plain data. Raises LookupError for an unknown type."""
    for known in event_types(app.services, app.processes):
        if known.name == type:
            return known.read(msgspec.json.encode(payload), known.version)
    raise LookupError(f"this application has no event type {type}")


async def reached(sim: Sim, process: str, status: str, *, within_s: float) -> Verdict:
    """The verdict on a process, once it is `status` or so much time has passed: retries have chance in their delays."""
    await sim.settle()
    for _ in range(_LOOKS):
        if sim.verdict(process).status == status:
            break
        await sim.advance(max(within_s, 1.0) / _LOOKS)
    return sim.verdict(process)


def types_of(sim: Sim, process: str) -> list[str]:
    """The types of the events of a process, sorted: what runs side by side has no order."""

    async def find(reader: Any) -> list[str]:
        found = next(row for row in await reader.processes(limit=_PAGE) if row.wire_id == process)
        return sorted(event.type for event in await reader.events(process=found.id, limit=_PAGE))

    return sim.read(find)
