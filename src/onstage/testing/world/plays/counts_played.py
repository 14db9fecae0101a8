"""Counts: what the node counts of its work is what became durable, no more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from onstage.events.receipt import OPEN_MAX, Status
from onstage.telemetry.counts import Counts
from onstage.telemetry.instruments import Instruments
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play
from onstage.testing.world.plays.times_played import TIMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.ports.telemetry import Telemetry
    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker

__all__ = ["COUNTED"]

LIVES: Final = "counts of each life"
BY_STATUS: Final = {
    "onstage_execution_retries": Status.RETRYING,
    "onstage_execution_waits": Status.WAITING,
}
Total = tuple[str, ...]


def _counted() -> Telemetry:
    """The telemetry of one life of the node."""
    instruments = Instruments(Counts(), None)
    OUTSIDE.notes[LIVES].append(instruments)
    return instruments


def _told() -> Counter[Total]:
    """What all lives together have counted, by metric and labels."""
    found: Counter[Total] = Counter()
    families = (family for each in OUTSIDE.notes[LIVES] for family in each.families())
    for name, sample in ((family.name, sample) for family in families for sample in family.samples):
        if sample.suffix == "_total":
            found[name, *(value for _, value in sample.labels)] += round(sample.value)
    return found


def _happened(file: StoredFile) -> Counter[Total]:
    """The same, from the tables."""
    found: Counter[Total] = Counter()
    for stored in file.events.values():
        found["onstage_events", stored.type, "handler" if stored.cause else "outside"] += 1
    for execution, row in file.executions.items():
        if row.status > OPEN_MAX:
            found["onstage_executions", file.handler_of(execution), Status(row.status).label] += 1
    for *_, receipt in file.receipts:
        for name, status in BY_STATUS.items():
            if receipt.handler and receipt.status == status:
                found[name, file.handlers[receipt.handler]] += 1
    return found


def _check(file: StoredFile, _: Onlooker) -> Iterator[tuple[str, str]]:
    told, happened = _told(), _happened(file)
    looked_at = {name for name, *_ in happened}
    for labels, count in told.items():
        if labels[0] in looked_at and count > happened[labels]:
            yield "counts", f"{labels} was counted {count} times, and happened {happened[labels]} times"
    if len(OUTSIDE.notes[LIVES]) == 1:
        for labels, count in happened.items():
            is_alone = labels[0] == "onstage_events" or labels[1].startswith("bell.")  # a batch is counted as one
            if is_alone and told[labels] != count:
                yield "counts", f"{labels} happened {count} times, and was counted {told[labels]} times"


def _seen(_: StoredFile) -> Iterator[str]:
    if len(OUTSIDE.notes[LIVES]) > 2:
        yield "several lives were counted"


COUNTED: Final = Play(
    "counts",
    TIMES.services,
    TIMES.deeds,
    _check,
    ("several lives were counted",),
    _seen,
    effects=TIMES.effects,
    unordered=TIMES.unordered,
    at_end=TIMES.at_end,
    telemetry=_counted,
)
