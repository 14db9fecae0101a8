"""Why something is still open, as far as the verdict does not say: limits of its handler, how far a long step is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from onstage.core import journal
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.core.journal import Entry
    from onstage.observe.verdict import Verdict
    from onstage.reading.heartbeats import Heartbeat
    from onstage.reading.store_file import StoreFile

__all__ = ["LOOKED_AT_MAX", "explained"]

_OPEN: Final = tuple(status for status in Status if status.is_open)
LOOKED_AT_MAX: Final = 100
"""Of so many open executions of a process, the journals are looked at."""


async def explained(
    store: StoreFile, process: int, verdict: Verdict, beats: dict[int, list[Heartbeat]] | None = None
) -> Verdict:
    """The same verdict; its reasons name the limits of a ready handler, and steps that are completed elsewhere.

    With `beats`, the last heartbeats by execution, they also say what the long steps of its open executions said last.
    """
    reasons = verdict.reasons
    if verdict.status == "running":
        flows = await _flows(store)
        reasons = tuple(_limited(reason, flows) for reason in reasons)
    if verdict.status == "waiting" and any(" sleeps" in reason for reason in reasons):
        elsewhere = await _completed_elsewhere(store, process)
        reasons = tuple(_not_asleep(reason, elsewhere) for reason in reasons)
    if beats and not verdict.is_final:
        heard = await _heard(store, process, beats)
        reasons = tuple(_saying(reason, heard) for reason in reasons)
    return verdict if reasons == verdict.reasons else replace(verdict, reasons=reasons)


async def _flows(store: StoreFile) -> dict[str, tuple[str, ...]]:
    from onstage.contracts.manifest import from_stored

    return {each.name: each.flow for each in from_stored(await store.reader.manifest()).handlers if each.flow}


def _limited(reason: str, flows: dict[str, tuple[str, ...]]) -> str:
    handler = reason.removesuffix(f" is {Status.READY.label}")
    return f"{reason} ({', '.join(flows[handler])})" if handler != reason and handler in flows else reason


async def _heard(store: StoreFile, process: int, beats: dict[int, list[Heartbeat]]) -> dict[str, str]:
    """What the long steps of a process said last, by the handler that runs them."""
    views = await store.reader.executions(process=process, statuses=_OPEN, limit=LOOKED_AT_MAX)
    return {view.handler: "; ".join(map(str, beats[view.id])) for view in views if view.id in beats}


def _saying(reason: str, heard: dict[str, str]) -> str:
    said = heard.get(reason.partition(" ")[0])
    return reason if said is None else f"{reason} ({said})"


async def _completed_elsewhere(store: StoreFile, process: int) -> dict[str, str]:
    """The steps that are to be completed from outside, by the handler whose execution waits for it."""
    found: dict[str, str] = {}
    for view in await store.reader.executions(process=process, statuses=[Status.WAITING], limit=LOOKED_AT_MAX):
        if not view.waits and view.due is not None:
            stored = await store.reader.execution(view.id)
            steps = _handed_over(stored.entries if stored else ())
            if steps:
                found[view.handler] = " and ".join(steps)
    return found


def _handed_over(entries: Iterable[Entry]) -> list[str]:
    newest = {entry.position: entry for entry in entries if not isinstance(entry, journal.TokenDrawn)}
    return [at.removesuffix("#0") for at, entry in newest.items() if isinstance(entry, journal.HandedOver)]


def _not_asleep(reason: str, elsewhere: dict[str, str]) -> str:
    handler, _, rest = reason.partition(" sleeps")
    if handler not in elsewhere:
        return reason
    return f"{handler} waits for {elsewhere[handler]} to be completed from outside{rest}"
