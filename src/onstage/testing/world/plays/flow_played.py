"""Flow: how many run at once, how often something begins, whose turn it is, and how much is tried again."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from onstage.contracts.service import Service
from onstage.core.commit import event_of
from onstage.core.retry import Retry
from onstage.events.event import event
from onstage.runtime.step import step
from onstage.testing.checks.limits_kept import too_many_within, waited_too_long
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.outside import Began
    from onstage.testing.world.tape import Stream

__all__ = ["FLOW", "Crowd", "Served", "Sifted", "Stormed"]

SOON: Final = Retry(3, first="50ms", most="1s")
PLACES: Final = {"mill.grind": 2, "mill.serve": 1, "mill.rank": 1, "mill": 3}
"""How many may run at once, of a handler and of the service."""

EVERY_S: Final = 5.0
"""So far apart `sift` begins at least, and `stamp` for each key: a rate that outlives a restart."""

LOW: Final = 2
HIGH: Final = 7
STORM: Final = 18
RETRIES_AT_ONCE: Final = 15
"""Ten a second are covered, those of a second may come at once; a busy store lets a few more come together."""

AT_ONCE_S: Final = 0.1


@event("world.ground", key="key")
@dataclass(frozen=True)
class Ground:
    """Takes a place for a while."""

    key: str
    n: int


@event("world.sifted", key="key")
@dataclass(frozen=True)
class Sifted:
    """Begins now and then only."""

    key: str
    n: int


@event("world.crowd", key="key")
@dataclass(frozen=True)
class Crowd:
    """Many of one tenant come before one of another, many of low rank before one of a high rank."""

    key: str
    n: int
    width: int


@event("world.served")
@dataclass(frozen=True)
class Served:
    """One of a crowd."""

    n: int
    tenant: str
    level: int


@event("world.stormed")
@dataclass(frozen=True)
class Stormed:
    """Fails when it is tried first, and so do many others."""

    n: int


@step(retry=SOON)
async def hold(n: int) -> str:
    """Takes its time."""
    await asyncio.sleep(0.2)
    return await OUTSIDE.act("hold", str(n))


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    mill, gate = Service("mill", tables=TABLES, concurrency=PLACES["mill"]), Service("gate", tables=TABLES)

    @mill.on(Ground, retry=SOON, concurrency=PLACES["mill.grind"])
    async def grind(e: Ground) -> None:
        with OUTSIDE.handling():
            await hold(e.n)
            OUTSIDE.stumble()
            await book("grind")

    @mill.on(Served, retry=SOON, concurrency=PLACES["mill.serve"], fair_by="tenant")
    async def serve(e: Served) -> None:
        with OUTSIDE.handling():
            await hold(e.n)
            await book("serve")

    @mill.on(Served, name="rank", retry=SOON, concurrency=PLACES["mill.rank"], priority="level")
    async def rank(e: Served) -> None:
        with OUTSIDE.handling():
            await hold(e.n)

    @gate.on(Crowd)
    async def crowd(e: Crowd) -> tuple[Served, ...]:
        return (*(Served(e.n, "many", LOW) for _ in range(e.width)), Served(e.n, "one", HIGH))

    @gate.on(Sifted, retry=SOON, rate="12/m")
    async def sift(_: Sifted) -> None:
        with OUTSIDE.handling():
            await book("sift")

    @gate.on(Sifted, name="stamp", retry=SOON, rate_per_key="12/m")
    async def stamp(_: Sifted) -> None:
        with OUTSIDE.handling():
            OUTSIDE.stumble()
            await book("stamp")

    @gate.on(Stormed, retry=Retry(9, first="50ms", most="50ms"), retry_budget=0.0)
    async def weather(_: Stormed) -> None:
        with OUTSIDE.handling():
            if OUTSIDE.is_first_try():
                raise ConnectionError("no line")

    return mill, gate


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    match chance.pick(8):
        case 0 | 1 | 2:
            yield from (Said(Ground(f"{key}{place}", 10 * n + place)) for place in range(4))
        case 3 | 4 | 5:
            yield from (Said(Sifted(key, 10 * n + place)) for place in range(2 + chance.pick(2)))
        case 6:
            yield Said(Crowd(key, n, 5 + chance.pick(3)))
        case _:
            yield from (Said(Stormed(100 * n + place)) for place in range(STORM))


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*_too_many_at_once(), *_too_often(file), *_out_of_turn(file, onlooker), *_stormy(file)):
        yield "flow", what


def _too_many_at_once() -> Iterator[str]:
    for name, most in PLACES.items():
        if (found := OUTSIDE.most_within[name]) > most:
            yield f"{found} of {name} ran at once, and {most} may"


def _too_often(file: StoredFile) -> Iterator[str]:
    """What is let in is let in one interval after the other; over a restart too, if the clock tells the truth.

    What has begun in several lives is not counted: nobody knows which of its runs has left its token behind.
    """
    if not OUTSIDE.disk_was_quick:
        return
    by_rate: defaultdict[tuple[object, ...], list[float]] = defaultdict(list)
    for handler in ("gate.sift", "gate.stamp"):
        begun = OUTSIDE.begun_in(file, handler)
        first = {began.execution: began for began in reversed(begun)}
        again = {began.execution for began in begun if began.life != first[began.execution].life}
        for execution in first.keys() - again:
            began = first[execution]
            key = file.events[event_of(began.execution)].key if handler == "gate.stamp" else None
            life = 0 if OUTSIDE.clock_was_right else began.life
            by_rate[handler, key, life].append(began.at_s)
    for (limited, of, _), times in by_rate.items():
        for what in too_many_within(times, 1, EVERY_S):
            yield f"{limited} of {of}: {what}"


def _out_of_turn(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """Of a crowd, the one of another tenant, or of a higher rank, waits for a few of the others only."""
    for handler in ("mill.serve", "mill.rank"):
        first: dict[int, Began] = {}
        for began in OUTSIDE.begun_in(file, handler):
            first.setdefault(began.execution, began)
        crowds: defaultdict[int, list[tuple[Began, bool]]] = defaultdict(list)
        for execution, began in first.items():
            n = event_of(execution)
            if n not in onlooker.poisoned:
                served = msgspec.json.decode(file.payloads[n], type=Served)
                crowds[file.events[n].cause].append((began, served.tenant == "one"))
        for crowd in crowds.values():
            for what in waited_too_long(crowd, first.values()):
                yield f"{handler}: {what}"


def _stormy(file: StoredFile) -> Iterator[str]:
    """Few are tried again at a time, whatever has failed at once."""
    if not OUTSIDE.disk_was_quick:
        return
    tries: Counter[tuple[int, int]] = Counter()
    by_life: defaultdict[int, list[float]] = defaultdict(list)
    for began in OUTSIDE.begun_in(file, "gate.weather"):
        tries[began.execution, began.life] += 1
        if tries[began.execution, began.life] > 1:
            by_life[began.life].append(began.at_s)
    for times in by_life.values():
        for what in too_many_within(times, RETRIES_AT_ONCE, AT_ONCE_S):
            yield f"retries of gate.weather: {what}"


def _seen(file: StoredFile) -> Iterator[str]:
    if any(OUTSIDE.most_within[name] == most for name, most in PLACES.items() if most > 1):
        yield "all places were taken"
    lives = {began.life for began in OUTSIDE.begun_in(file, "gate.sift")}
    if len(lives) > 1:
        yield "a rate went on after a restart"
    if len({began.execution for began in OUTSIDE.begun_in(file, "mill.serve")}) > 4:
        yield "tenants took turns"
    if len(OUTSIDE.begun_in(file, "gate.weather")) > STORM:
        yield "many were tried again"


FLOW: Final = Play(
    "flow",
    _services,
    _deeds,
    _check,
    (
        "all places were taken",
        "a rate went on after a restart",
        "tenants took turns",
        "many were tried again",
    ),
    _seen,
    effects={"mill.grind": ["grind"], "mill.serve": ["serve"], "gate.sift": ["sift"], "gate.stamp": ["stamp"]},
)
