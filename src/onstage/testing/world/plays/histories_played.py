"""Histories: a handler that begins later and hears of everything, one that hears it again, and one that is gone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from onstage.contracts.service import Service
from onstage.core.commit import event_of
from onstage.core.retry import Retry
from onstage.events.event import event
from onstage.events.receipt import Status
from onstage.runtime.calls import sleep
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Act, Play, Said, Scene
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["HISTORIES", "Filed", "Noticed"]

SOON: Final = Retry(3, first="50ms", most="1s")
FILED: Final = "world.filed"
KEEP: Final = "archive.keep"
GONE: Final = "archive.copy"
LATE: Final = "archive.index"
REPLAYS: Final = "replays that were told"


@event(FILED, key="key")
@dataclass(frozen=True)
class Filed:
    """Goes into the archive."""

    key: str
    n: int


@event("world.noticed", key="key")
@dataclass(frozen=True)
class Noticed:
    """What follows from keeping something."""

    key: str
    n: int


@cache
def _services(today: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    archive = Service("archive", tables=TABLES)

    @archive.on(Filed, retry=SOON)
    async def keep(e: Filed) -> Noticed:
        OUTSIDE.stumble()
        await book("keep")
        return Noticed(e.key, e.n)

    if today:

        @archive.on(Filed, retry=SOON, start="earliest")
        async def index(_: Filed) -> None:
            OUTSIDE.stumble()
            await book("index")

    else:

        @archive.on(Filed, retry=SOON)
        async def copy(_: Filed) -> None:
            await book("copy")
            await sleep("30s")
            OUTSIDE.stumble()

    return (archive,)


async def _replay(scene: Scene) -> None:
    """Somebody lets the archive hear of things again, from somewhere on; and remembers what they were told."""
    numbers = [n for (n,) in scene.onlooker.rows("select n from onstage_event order by n")]
    after = numbers[scene.chance.pick(len(numbers))] if numbers and scene.chance.pick(2) else 0
    told = await scene.ways.manage("replay", KEEP, {"after": after})
    if told["handler"] != KEEP:
        OUTSIDE.notes[REPLAYS].append(told)


async def _retire(scene: Scene) -> None:
    await scene.ways.manage("retire", GONE, {})


async def _retire_at_last(scene: Scene) -> None:
    """When the handler is gone for good, what it has left open is written off, if it ever was there."""
    if scene.onlooker.rows("select 1 from onstage_handler where name = ?", GONE):
        await scene.ways.manage("retire", GONE, {})


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said | Act]:
    yield from (Said(Filed(key, 10 * n + place)) for place in range(1 + chance.pick(3)))
    match chance.pick(4):
        case 0 | 1:
            yield Act(_replay, (0.0, 0.5, 10.0)[chance.pick(3)])
        case 2:
            yield Act(_retire, (0.0, 5.0)[chance.pick(2)])
        case _:
            yield Said(Filed(key, 10 * n + 5), later_s=8.0)


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*_heard_wrongly(file), *_left_open(file), *_replayed_wrongly(file, onlooker)):
        yield "histories", what


def _of(file: StoredFile, handler: str) -> list[int]:
    return [x for x in file.executions if file.handler_of(x) == handler]


def _heard_wrongly(file: StoredFile) -> Iterator[str]:
    """What came before a handler was there has come to it too; and a handler that is gone has heard of no more."""
    filed = [n for n, row in file.events.items() if row.type == FILED]
    heard = [event_of(x) for x in _of(file, LATE)]
    if LATE in file.handlers.values() and heard != filed:
        yield f"{LATE} has heard of {heard}, and there were {filed}"
    before = [event_of(x) for x in _of(file, GONE)]
    if before != filed[: len(before)]:
        yield f"{GONE} has heard of {before}, of all these: {filed}"


def _left_open(file: StoredFile) -> Iterator[str]:
    for execution in _of(file, GONE):
        if file.executions[execution].is_open:
            yield f"execution {execution} of {GONE} is open, and it was retired"


def _replayed_wrongly(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """A replay brings what it was told to bring, once each, and keeps no process open that had ended."""
    effects = Counter((handler, event) for event, handler in file.rows("select event, handler from effect"))
    wires = {n: wire for wire, n in file.wires.items()}
    for told in OUTSIDE.notes[REPLAYS]:
        name, filed = told["handler"], [n for n, row in file.events.items() if row.type == FILED]
        wanted = [n for n in filed if told["after"] < n <= told["until"]]
        heard = [event_of(x) for x in _of(file, name)]
        if heard != wanted or len(wanted) != told["events"]:
            yield f"{name} has heard of {heard}, and was told of {told['events']}, {wanted}"
        for execution in _of(file, name):
            n, row = event_of(execution), file.executions[execution]
            kept = effects[name, wires[n]]
            if kept > 1 or (row.status == Status.DONE and not kept and n not in onlooker.poisoned):
                yield f"{name} has kept event {n} {kept} times"
            if row.gating:
                yield f"execution {execution} of {name} keeps its process open"


def _seen(file: StoredFile) -> Iterator[str]:
    if OUTSIDE.notes[REPLAYS]:
        yield "a handler heard its history again"
    opened = dict(file.rows("select e.n, e.topology from onstage_event e"))
    for execution in _of(file, LATE):
        born = max(opened.values())
        if opened[event_of(execution)] < born:
            yield "a new handler heard of what was before it"
            break
    if any(file.executions[x].status == Status.WRITTEN_OFF for x in _of(file, GONE)):
        yield "what a gone handler had left open was written off"


HISTORIES: Final = Play(
    "histories",
    _services,
    _deeds,
    _check,
    (
        "a handler heard its history again",
        "a new handler heard of what was before it",
        "what a gone handler had left open was written off",
    ),
    _seen,
    effects={KEEP: ["keep"], LATE: ["index"]},
    at_end=_retire_at_last,
    changes=True,
    counted=frozenset({KEEP, GONE}),
)
