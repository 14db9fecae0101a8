"""How far an observer is behind the log, and what it has read: its metrics, read when somebody asks."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from onstage.errors import BrokerUnavailable
from onstage.ports.telemetry import Family, Kind, Sample

if TYPE_CHECKING:
    from onstage.ports.broker import Broker
    from onstage.runtime.observatory import Observatory

__all__ = ["LOOKED_BACK", "behind", "observed"]

LOOKED_BACK: Final = 64
"""So many messages from the end are looked at for the newest one that concerns an observer."""
_OF_OTHERS: Final = "ctl."
"""What services say to each other alone; an observer does not read it."""


async def observed(observatory: Observatory) -> list[Family]:
    """The metrics of an observer. Without the broker nobody knows how far it is behind: that has no sample then."""
    trouble = observatory.broker.trouble
    families = [
        Family("onstage", "info", "The version of Onstage.", [Sample(1, (("version", version("onstage")),), "_info")]),
        _one("onstage_broker_connected", "Whether the broker answers.", int(trouble is None)),
    ]
    reader = observatory.reader
    if reader is None:
        return families
    events, receipts = observatory.counts
    try:
        lag: float | None = await behind(observatory.broker, reader.taken)
    except BrokerUnavailable:
        lag = None
    stalled = asyncio.get_running_loop().time() - reader.moved_s if lag else 0.0
    return [
        *families,
        _one("onstage_observer_events", "Events it has read since its start.", events, "counter"),
        _one("onstage_observer_receipts", "Receipts it has read since its start.", receipts, "counter"),
        _one("onstage_observer_gaps", "Times it found that the log lacks something.", observatory.gaps, "counter"),
        _one("onstage_observer_laid_aside", "Messages that wait for others before them.", observatory.laid_aside),
        _one("onstage_observer_lag_messages", "Messages of the log that it has still to read.", lag),
        _one("onstage_observer_stalled_seconds", "How long it has read nothing although it is behind.", stalled),
    ]


async def behind(broker: Broker, taken: int) -> int:
    """How many messages stand in the log behind `taken`, up to the newest that concerns an observer.

    Of more than `LOOKED_BACK` that do not, all before those count. Raises BrokerUnavailable.
    """
    last = (await broker.state()).last
    before = max(taken, last - LOOKED_BACK)
    for seq in range(last, before, -1):
        message = await broker.message(seq)
        if message is not None and not message.subject.startswith(_OF_OTHERS):
            return seq - taken
    return max(0, before - taken)


def _one(name: str, said: str, value: float | None, kind: Kind = "gauge") -> Family:
    samples = [] if value is None else [Sample(value, (), "_total" if kind == "counter" else "")]
    return Family(name, kind, said, samples)
