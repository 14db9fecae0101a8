"""Branches: what runs side by side in one execution; races, scopes that are given up, and what is spawned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.contracts.service import Service
from onstage.core.journal import Abandoned, Raced, ScopeRejected
from onstage.core.retry import Retry
from onstage.durable import scope
from onstage.errors import Reject
from onstage.events.event import event
from onstage.runtime.calls import sleep, wait
from onstage.runtime.gather import gather, race, spawn
from onstage.testing.checks.branch_ends import half_done, not_undone, several_winners
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, Approved, book, charge, drive, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["BRANCHES", "Came", "Run", "Toured", "Tried"]

SOON: Final = Retry(3, first="50ms", most="1s")


@event("world.toured", key="key")
@dataclass(frozen=True)
class Toured:
    """Several things side by side, one of which waits, and one of which is spawned."""

    key: str
    n: int


@event("world.raced", key="key")
@dataclass(frozen=True)
class Run:
    """Whoever is first."""

    key: str
    n: int


@event("world.tried", key="key")
@dataclass(frozen=True)
class Tried:
    """A part is given up, or all."""

    key: str
    n: int


@event("world.came", key="key")
@dataclass(frozen=True)
class Came:
    """What the branches came to, in their order."""

    key: str
    n: int
    what: tuple[str, ...]


async def _way(key: str, n: int, seconds: float) -> str:
    await drive(key, n)
    await sleep(seconds)
    await charge(f"{key}/{n}")
    return f"way {n}"


async def _approved(key: str) -> str:
    try:
        await wait(Approved, timeout="25s")
    except TimeoutError:
        return "late"
    return await pack(key)


async def _beside(key: str) -> str:
    await sleep("3s")
    await book("beside")
    return await drive(key, 9)


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    crew = Service("crew", tables=TABLES)

    @crew.on(Toured, retry=SOON, waits=[Approved])
    async def tour(e: Toured) -> Came:
        beside = spawn(_beside(e.key))
        ways = await gather(_way(e.key, 0, 4.0), _way(e.key, 1, 0.0), drive(e.key, 2), _approved(e.key))
        OUTSIDE.stumble()
        if e.n % 3 == 0:
            await beside
        await book("tour")
        return Came(e.key, e.n, ways)

    @crew.on(Run, retry=SOON, waits=[Approved])
    async def run(e: Run) -> Came:
        first = await race(_way(e.key, 0, 6.0 * (e.n % 3)), _way(e.key, 1, 6.0), _approved(e.key), charge(e.key))
        OUTSIDE.stumble()
        second = await race(drive(e.key, 5), sleep("40s"))
        await book("run")
        return Came(e.key, e.n, (first, str(second)))

    @crew.on(Tried, retry=SOON)
    async def attempt(e: Tried) -> Came:
        await charge(e.key)
        async with scope("part") as part:
            await gather(charge(f"{e.key}/a"), charge(f"{e.key}/b"))
            if e.n % 2:
                raise Reject("a part is given up")
        OUTSIDE.stumble()
        await book("attempt")
        if e.n % 5 == 4:
            raise Reject("all is given up")
        return Came(e.key, e.n, ("given up" if part.rejected else "kept",))

    return (crew,)


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    cls: Any = (Toured, Run, Tried, Run)[chance.pick(4)]
    yield Said(cls(key, n))


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*several_winners(file), *not_undone(file), *half_done(file), *_wrongly(file, onlooker)):
        yield "branches", what


def _wrongly(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """What was told of the branches is what their code returns, at their places."""
    for n, row in file.events.items():
        if row.type != "world.came" or n in onlooker.poisoned:
            continue
        came, began = msgspec.json.decode(file.payloads[n], type=Came), file.events[row.cause >> 16].type
        key = came.key
        wanted: tuple[set[str], ...]
        if began == "world.toured":
            wanted = ({"way 0"}, {"way 1"}, {f"drive {key}/2"}, {"late", f"pack {key}"})
        elif began == "world.raced":
            winners = ("way 0", "way 1", None, f"charge {key}")
            raced = next(entry for entry in file.journals[row.cause] if isinstance(entry, Raced))
            won = winners[raced.winner]
            wanted = ({"late", f"pack {key}"} if won is None else {won}, {f"drive {key}/5", "None"})
        else:
            wanted = ({"given up" if came.n % 2 else "kept"},)
        if len(wanted) != len(came.what) or any(w not in each for w, each in zip(came.what, wanted, strict=True)):
            yield f"event {n} says {came.what}, and it was {wanted}"


def _seen(file: StoredFile) -> Iterator[str]:
    for entries in file.journals.values():
        if any(isinstance(entry, Raced) for entry in entries):
            yield "a race was decided"
        if any(isinstance(entry, Abandoned) for entry in entries):
            yield "a step of a loser was abandoned"
        if any(isinstance(entry, ScopeRejected) for entry in entries):
            yield "a scope was given up"
        if any(entry.position.startswith("gather#") for entry in entries):
            yield "branches ran side by side"


BRANCHES: Final = Play(
    "branches",
    _services,
    _deeds,
    _check,
    (
        "a race was decided",
        "a step of a loser was abandoned",
        "a scope was given up",
        "branches ran side by side",
    ),
    _seen,
    effects={"crew.tour": ["tour", "beside"], "crew.run": ["run"], "crew.attempt": ["attempt"]},
)
