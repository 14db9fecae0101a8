"""Forks: a workflow that has ended, or is stuck, is done anew from one of its calls; or started again as a whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onstage.contracts.service import Service
from onstage.core.commit import execution_id
from onstage.core.journal import Forked, Stepped, Undone
from onstage.core.retry import Retry
from onstage.durable import continue_as_new
from onstage.errors import Reject
from onstage.events.answer import START_PREFIX
from onstage.runtime.calls import random, sleep
from onstage.testing.checks.request_answers import wrongly_answered
from onstage.testing.checks.step_calls import own_entries, since_renewal, taken_from
from onstage.testing.checks.workflow_runs import badly_started
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Act, Play, Said, Scene
from onstage.testing.world.repertoire import TABLES, charge, drive, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.core.journal import Entry
    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["FORKS", "Route"]

SOON: Final = Retry(3, first="50ms", most="1s")
TYPE: Final = f"{START_PREFIX}tour.travel"
LUCK: Final = 0.6
FROM: Final = ("charge", "drive", "sleep", "pack", "end", "nowhere")
TOLD: Final = "forks that were told"
TRIED: Final = "forks that were tried"
ENDED: Final = (
    "select e.n, p.wire_id from onstage_process p join onstage_event e on e.n = p.id"
    " join onstage_type t on t.id = e.type"
    " where t.name = ? order by p.id"
)


@dataclass(frozen=True)
class Route:
    """Where to; in `laps` more laps. Some are given up at last."""

    key: str
    n: int
    laps: int = 0


class Made(NamedTuple):
    """A fork that somebody was told of: of which start, from which call, under which id, and its own public id."""

    original: int
    step: str
    id: str
    fork: str


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    tour = Service("tour", tables=TABLES)

    @tour.workflow(retry=SOON)
    async def travel(route: Route) -> str:
        await charge(route.key)
        if route.laps:
            continue_as_new(Route(route.key, route.n, route.laps - 1))
        driven = await drive(route.key, route.n)
        await sleep("4s")
        OUTSIDE.stumble()
        is_lucky = random() < LUCK
        packed = await pack(route.key)
        if not is_lucky:
            raise Reject("not there")
        return f"{driven}, {packed}"

    return (tour,)


async def _fork(scene: Scene) -> None:
    """Somebody lets the rest of a run be done anew, perhaps twice under one id."""
    started = scene.onlooker.rows(ENDED, TYPE)
    if not started:
        return
    n, wire = started[-1 - scene.chance.pick(min(len(started), 4))]
    step, name = FROM[scene.chance.pick(len(FROM))], f"fork {len(OUTSIDE.notes[TRIED])}"
    if OUTSIDE.notes[TRIED] and scene.chance.pick(4) == 3:  # who was not answered tries once more
        wire, n, step, name = OUTSIDE.notes[TRIED][-1]
    OUTSIDE.notes[TRIED].append((wire, n, step, name))
    fork = await scene.ways.fork(wire, step, name)
    OUTSIDE.notes[TOLD].append(Made(n, step, name, fork))


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said | Act]:
    (tour,) = _services(False)
    travel: Any = tour.handlers[0]
    yield Said(Route(key, n, (0, 0, 2)[chance.pick(3)]), starts=travel.triggers[0])
    for later_s in (9.0, 14.0, 25.0)[: 1 + chance.pick(3)]:
        yield Act(_fork, later_s)


def _check(file: StoredFile, _: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*wrongly_answered(file), *badly_started(file), *_forked_wrongly(file), *_undone_otherwise(file)):
        yield "forks", what


def _travels(file: StoredFile, n: int) -> int:
    return execution_id(n, next(number for number, name in file.handlers.items() if name == "tour.travel"))


def _forked_wrongly(file: StoredFile) -> Iterator[str]:
    """A fork has what its original had recorded before the cut, does nothing of it again, and is one for one id."""
    ids: dict[str, tuple[int, str, str]] = {}
    calls = {(call.execution, call.position) for call in OUTSIDE.calls if not call.is_effect}
    for made in OUTSIDE.notes[TOLD]:
        first = ids.setdefault(made.id, (made.original, made.step, made.fork))
        if first != (made.original, made.step, made.fork):
            yield f"{made} and {first} are forks of one id"
        if made.fork not in file.wires:
            yield f"{made} was told, and is lost"
            continue
        fork, original = _travels(file, file.wires[made.fork]), _travels(file, made.original)
        taken = _taken(file.journals.get(fork, []))
        if [entry for entry in taken if entry not in file.journals.get(original, ())]:
            yield f"execution {fork} took over {taken}, which execution {original} has not"
        for entry in since_renewal(taken):
            if isinstance(entry, Stepped) and (fork, entry.position) in calls:
                yield f"{entry.position} of execution {fork} ran again, and was taken over"
        has_run = any(isinstance(entry, Stepped) for entry in file.journals.get(original, ()))
        if made.step == "end" and has_run and not taken:
            yield f"execution {fork} took over nothing, and was forked from {made.step}"


def _taken(entries: list[Entry]) -> list[Entry]:
    own = own_entries(entries)
    return [entry for entry in entries[: len(entries) - len(own)] if not isinstance(entry, Forked)]


def _undone_otherwise(file: StoredFile) -> Iterator[str]:
    """What a fork took over is undone under the key under which the execution would undo it that did it."""
    keys = {(call.execution, call.position): call.key for call in OUTSIDE.calls}
    for execution, entries in file.journals.items():
        for entry in own_entries(entries):
            origin = taken_from(entries, entry.position.removeprefix("undo/"))
            key = keys.get((execution, entry.position), "")
            if isinstance(entry, Undone) and origin is not None and not key.startswith(origin):
                yield f"{entry.position} of execution {execution} ran under {key}, not that of {origin}"


def _seen(file: StoredFile) -> Iterator[str]:
    made = Counter(forked.id for forked in OUTSIDE.notes[TOLD])
    if made and max(made.values()) > 1:
        yield "a fork was asked for again under its id"
    for entries in file.journals.values():
        taken = _taken(entries)
        if taken:
            yield "a fork took over what had been done"
        if taken and any(isinstance(entry, Undone) for entry in own_entries(entries)):
            yield "a fork undid what it had taken over"
        if sum(isinstance(entry, Forked) for entry in entries) > 1:
            yield "a fork was forked"


FORKS: Final = Play(
    "forks",
    _services,
    _deeds,
    _check,
    (
        "a fork took over what had been done",
        "a fork undid what it had taken over",
        "a fork was forked",
        "a fork was asked for again under its id",
    ),
    _seen,
)
