"""Watching: a process with a milestone, a deadline and rules, and a handler that is told of every change of verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.events.envelope import Envelope, hlc_ms
from onstage.events.event import event
from onstage.events.process_changed import CHANGED_PREFIX, CHANGED_TYPES
from onstage.expectations import at_most_once, before, every, expect, never_both
from onstage.runtime.calls import sleep
from onstage.testing.checks.told_changes import (
    came_in,
    miscounted,
    never_told_stuck,
    told_of,
    untrue_ends,
    wrongly_overdue,
)
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.checks.told_changes import Came, Told
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["WATCHES", "Vowed"]

SOON: Final = Retry(3, first="50ms", most="1s")
MILESTONE_S: Final = 20
DEADLINE_S: Final = 60
WAYS: Final = 6


@event("world.vowed", key="key")
@dataclass(frozen=True)
class Vowed:
    """A promise; `way` is how it goes on."""

    key: str
    n: int
    way: int


@event("world.halfway", key="key")
@dataclass(frozen=True)
class Halfway:
    """The milestone."""

    key: str
    n: int


@event("world.kept", key="key")
@dataclass(frozen=True)
class Kept:
    """It was kept: the good outcome."""

    key: str
    n: int


@event("world.lapsed", key="key")
@dataclass(frozen=True)
class Lapsed:
    """The deadline has passed without an outcome: emitted by nobody but the engine."""

    key: str
    n: int


RULES: Final = (
    at_most_once(Kept),
    before(Halfway, Kept),
    never_both(Kept, Lapsed),
    every(Vowed).leads_to(Kept, Lapsed),
)
TWICE, EARLY, BOTH, NEITHER = (written.rule.text for written in RULES)


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    vows, watchman = Service("vows", tables=TABLES), Service("watchman", tables=TABLES)

    @vows.on(Vowed, retry=SOON)
    async def strive(e: Vowed) -> tuple[Halfway | Kept, ...]:
        OUTSIDE.stumble()
        await book("strive")
        match e.way:
            case 0:
                return (Halfway(e.key, e.n),)
            case 1:
                await sleep("30s")
                return (Halfway(e.key, e.n),)
            case 2:
                return ()
            case 3:
                return Kept(e.key, e.n), Kept(e.key, e.n)
            case 4:
                await sleep("100s")
                return Halfway(e.key, e.n), Kept(e.key, e.n)
            case _:
                return Halfway(e.key, e.n), Kept(e.key, e.n)

    @vows.on(Halfway, retry=SOON)
    async def finish(e: Halfway) -> Kept | None:
        OUTSIDE.stumble()
        return None if e.n % 2 else Kept(e.key, e.n)

    @watchman.on("onstage.process.>", retry=SOON)
    async def hear(_: Envelope) -> None:
        await book("hear")
        OUTSIDE.stumble()

    return vows, watchman


VOW: Final = Process(
    "vow",
    starts=Vowed,
    done=Kept,
    failed=Lapsed,
    within={Halfway: f"{MILESTONE_S}s"},
    deadline=f"{DEADLINE_S}s",
    late=lambda e: Lapsed(e.key, e.n),
)
OUTCOMES: Final = frozenset({"world.kept", "world.lapsed"})


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    yield Said(Vowed(key, n, chance.pick(WAYS)))


def _vows(file: StoredFile) -> Iterator[tuple[int, list[Came]]]:
    for n, stored in file.events.items():
        if stored.type == "world.vowed" and stored.process == n:
            yield n, came_in(file, n)


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    if any(file.events[n].type.startswith(CHANGED_PREFIX) for n in onlooker.poisoned):
        return  # what was told can be read no more
    told, outcomes = told_of(file), dict(file.rows("select id, outcome from onstage_process"))
    declared = {process for (process,) in file.rows("select id from onstage_process where declared is not null")}
    for process in declared:
        for what in (*miscounted(told.get(process, ())), *untrue_ends(told.get(process, ()), outcomes[process])):
            yield "watches", f"of process {process} {what}"
    for what in never_told_stuck(file, told):
        yield "watches", what
    now = max((hlc_ms(stored.hlc) for stored in file.events.values()), default=0)
    for process, came in _vows(file):
        if process in onlooker.poisoned:
            continue  # nobody knows whose deadline it was
        for what in _of_a_vow(told.get(process, []), came, now):
            yield "watches", f"of vow {process} {what}"


def _of_a_vow(told: Sequence[Told], came: Sequence[Came], now: int) -> Iterator[str]:
    if OUTSIDE.clock_was_right:
        yield from wrongly_overdue(told, came, "world.halfway", MILESTONE_S * 1000, OUTCOMES, now)
        yield from _wrongly_lapsed(came, now)
    types = [each.type for each in came]
    if types.count("world.lapsed") > 1 or "world.kept" in types[: _first(types, "world.lapsed", 0)]:
        yield f"its deadline was said to be over: {types}"
    said = sorted(each.said["rule"] for each in told if each.kind == "violated")
    if said != sorted(_broken(types, any(each.kind == "dead-end" for each in told))):
        yield f"it broke {said}, it was said, in {types}"


def _wrongly_lapsed(came: Sequence[Came], now: int) -> Iterator[str]:
    due = came[0].at + DEADLINE_S * 1000
    lapsed = [each.at for each in came if each.type == "world.lapsed"]
    if lapsed and lapsed[0] < due:
        yield f"it lapsed {due - lapsed[0]} ms before its deadline"
    if now > due + 2_000 and not any(each.type in OUTCOMES for each in came):
        yield f"it has no outcome {now - due} ms after its deadline"


def _broken(types: Sequence[str], was_dead_end: bool) -> Iterator[str]:  # noqa: FBT001
    """The rules that a process with these events broke, counted plainly."""
    kept = types.count("world.kept")
    if kept > 1:
        yield TWICE
    if kept and "world.halfway" not in types[: types.index("world.kept")]:
        yield EARLY
    if kept and "world.lapsed" in types:
        yield BOTH
    if was_dead_end:
        yield NEITHER


def _first(types: Sequence[str], name: str, otherwise: int) -> int:
    return types.index(name) if name in types else otherwise


def _seen(file: StoredFile) -> Iterator[str]:
    kinds = {stored.type.removeprefix(CHANGED_PREFIX) for stored in file.events.values()}
    for kind, mark in MARKS.items():
        if kind in kinds:
            yield mark


MARKS: Final = {
    "stuck": "somebody was told that a process is stuck",
    "overdue": "somebody was told that a milestone is late",
    "violated": "somebody was told that a rule was broken",
    "reopened": "somebody was told that a process is open again",
    "world.lapsed": "a deadline ended a process",
}

WATCHES: Final = Play(
    "watches",
    _services,
    _deeds,
    _check,
    tuple(MARKS.values()),
    _seen,
    effects={"vows.strive": ["strive"], "watchman.hear": ["hear"]},
    declares=(VOW, expect("vow", *RULES)),
    made=frozenset({"world.lapsed", *(known.name for known in CHANGED_TYPES.values())}),
)
