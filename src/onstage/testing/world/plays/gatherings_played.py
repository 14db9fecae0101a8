"""Gatherings: events that are handled together, and events of which only the last one of a burst is handled."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from onstage.contracts.service import Service
from onstage.core.commit import event_of, execution_id
from onstage.core.retry import Retry
from onstage.events.envelope import hlc_ms
from onstage.events.event import event
from onstage.events.receipt import Status
from onstage.ports.store import Connection
from onstage.runtime.calls import idempotency_key
from onstage.runtime.step import transaction
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, book, drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["GATHERINGS", "Loaded", "Stirred"]

SOON: Final = Retry(3, first="50ms", most="1s")
SHIP: Final = "dock.ship"
SETTLE: Final = "dock.settle"
FULL: Final = 4
PAUSE_MS: Final = 3_000
AT_LATEST_MS: Final = 8_000
SLACK_MS: Final = 20


@event("world.loaded", key="key")
@dataclass(frozen=True)
class Loaded:
    """Goes with others."""

    key: str
    n: int


@event("world.stirred", key="key")
@dataclass(frozen=True)
class Stirred:
    """Is followed by others, perhaps."""

    key: str
    n: int


@transaction
def book_each(db: Connection, places: list[int]) -> int:
    """Write a row of the ledger of effects for each of a batch."""
    public, handler, _ = idempotency_key().split("/", 2)
    for place in places:
        db.execute("insert into effect (event, handler, place) values (?, ?, ?)", (public, handler, str(place)))
    OUTSIDE.refuse()
    return len(places)


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    dock = Service("dock", tables=TABLES)

    @dock.on(Loaded, retry=SOON, batch=FULL, batch_wait="2s")
    async def ship(es: list[Loaded]) -> None:
        await drive("ship", es[0].n)
        OUTSIDE.stumble()
        await book_each([e.n for e in es])

    @dock.on(Stirred, retry=SOON, debounce=PAUSE_MS / 1000, max_wait=AT_LATEST_MS / 1000)
    async def settle(_: Stirred) -> None:
        with OUTSIDE.handling():
            OUTSIDE.stumble()
            await book("settle")

    return (dock,)


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    if chance.pick(2):
        for place in range(2 + chance.pick(5)):
            yield Said(Loaded(key, 10 * n + place), later_s=(0.0, 0.0, 0.3, 5.0)[chance.pick(4)])
        return
    for place in range(2 + chance.pick(4)):
        yield Said(Stirred(key, 10 * n + place), later_s=place * (0.4, 2.0, 4.0)[chance.pick(3)])


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*_shipped(file, onlooker), *_settled(file, onlooker)):
        yield "gatherings", what


def _executions(file: StoredFile, handler: str) -> dict[int, int]:
    """The executions of a handler and what became of each, in the order of their events."""
    return {x: row.status for x, row in file.executions.items() if file.handler_of(x) == handler}


def _shipped(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """Each event is in one batch, in the order of the log, and no batch is larger than it may be."""
    numbers = {_number(file.payloads[event_of(x)]): x for x in _executions(file, SHIP)}
    rows = file.rows("select event, place from effect where handler = ? order by id", SHIP)
    shipped = Counter(int(place) for _, place in rows)
    for place, execution in numbers.items():
        if event_of(execution) in onlooker.poisoned:
            continue
        done = file.executions[execution].status == Status.DONE
        if shipped[place] > 1 or (done and not shipped[place]):
            yield f"event {event_of(execution)} is in {shipped[place]} batches"
    for event_id, count in Counter(event_id for event_id, _ in rows).items():
        if count > FULL:
            yield f"a batch of {event_id} has {count} events"
    if onlooker.aside & set(numbers.values()):
        return
    order = [numbers[int(place)] for _, place in rows if int(place) in numbers]
    if order != sorted(order):
        yield f"batches were handled in another order than that of the log: {order}"


def _number(data: bytes) -> int:
    """The number in a payload, 0 if it was spoilt."""
    _, _, rest = data.partition(b'"n":')
    return int(rest.rstrip(b"}")) if rest.rstrip(b"}").isdigit() else 0


def _settled(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """Of each key the last one is handled, and none before its burst is over."""
    by_key: defaultdict[str | None, list[int]] = defaultdict(list)
    number = next((number for number, name in file.handlers.items() if name == SETTLE), 0)
    for execution in _executions(file, SETTLE):
        by_key[file.events[event_of(execution)].key].append(event_of(execution))
    for key, events in by_key.items():
        last = file.executions[execution_id(events[-1], number)]
        if last.status == Status.SKIPPED:
            yield f"the last event of {key} was skipped, {events[-1]}"
        if OUTSIDE.clock_was_right and not onlooker.poisoned & set(events):
            yield from _too_early(file, events)


def _too_early(file: StoredFile, events: list[int]) -> Iterator[str]:
    for began in OUTSIDE.begun_in(file, SETTLE):
        if event_of(began.execution) not in events:
            continue
        came_ms = hlc_ms(file.events[event_of(began.execution)].hlc)
        first_ms = hlc_ms(file.events[events[0]].hlc)
        if began.at_ms < min(came_ms + PAUSE_MS, first_ms + AT_LATEST_MS) - SLACK_MS:
            yield f"event {event_of(began.execution)} was handled {began.at_ms - came_ms} ms after it came"


def _seen(file: StoredFile) -> Iterator[str]:
    sizes = Counter(event_id for (event_id,) in file.rows("select event from effect where handler = ?", SHIP))
    if FULL in sizes.values():
        yield "a batch was full"
    if any(1 < size < FULL for size in sizes.values()):
        yield "a batch had waited long enough"
    settled = set(_executions(file, SETTLE).values())
    if Status.SKIPPED in settled:
        yield "an event of a burst was skipped"


GATHERINGS: Final = Play(
    "gatherings",
    _services,
    _deeds,
    _check,
    ("a batch was full", "a batch had waited long enough", "an event of a burst was skipped"),
    _seen,
    effects={SETTLE: ["settle"]},
    unreplayed=frozenset({SHIP}),
)
