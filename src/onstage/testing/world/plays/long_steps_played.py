"""Long steps: some say now and then that they are alive and how far they are, others are completed from outside."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from onstage.contracts.service import Service
from onstage.core.journal import HandedOver, Stepped
from onstage.core.retry import Retry
from onstage.durable import CompletedElsewhere, completion_token, heartbeat, last_heartbeat
from onstage.errors import StepFailed
from onstage.events.event import event
from onstage.events.receipt import Status
from onstage.runtime.step import step
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Act, Play, Said, Scene
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["LONG_STEPS", "Beat", "Hauled", "Signed", "Told"]

SOON: Final = Retry(6, first="50ms", most="1s")
LEGS: Final = 5
BEATS: Final = "heartbeats"
TOKENS: Final = "tokens"
TOLD: Final = "completions"


@event("world.hauled", key="key")
@dataclass(frozen=True)
class Hauled:
    """A way of several legs."""

    key: str
    n: int


@event("world.signed", key="key")
@dataclass(frozen=True)
class Signed:
    """Waits for somebody's signature."""

    key: str
    n: int


class Beat(NamedTuple):
    """What a long step noted: which, in which life, whether it began there or came so far, and with which leg."""

    execution: int
    life: int
    begins: bool
    leg: int


class Token(NamedTuple):
    """A token that was given away."""

    execution: int
    position: str
    text: str


class Told(NamedTuple):
    """What somebody said under a token, and whether they were told that it was taken."""

    execution: int
    position: str
    data: bytes
    is_taken: bool


@step(retry=SOON, heartbeat_timeout="3s")
async def haul(key: str) -> str:
    """Goes leg by leg, from the last one that it said."""
    execution, _ = OUTSIDE.place()
    first = 1 + (last_heartbeat(int) or 0)
    OUTSIDE.notes[BEATS].append(Beat(execution, OUTSIDE.life, begins=True, leg=first - 1))
    for leg in range(first, LEGS + 1):
        await asyncio.sleep(2.0)
        heartbeat(leg)
        OUTSIDE.notes[BEATS].append(Beat(execution, OUTSIDE.life, begins=False, leg=leg))
    return await OUTSIDE.act("haul", key)


@step(retry=Retry(2, first="50ms", most="1s"), completion_timeout="40s")
async def sign(key: str) -> str:
    """Somebody else says what comes of it."""
    OUTSIDE.notes[TOKENS].append(Token(*OUTSIDE.place(), completion_token()))
    await OUTSIDE.act("sign", key)
    raise CompletedElsewhere


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    depot = Service("depot", tables=TABLES)

    @depot.on(Hauled, retry=Retry(3, first="50ms", most="1s"))
    async def cart(e: Hauled) -> None:
        await haul(e.key)
        OUTSIDE.stumble()
        await book("cart")

    @depot.on(Signed, retry=Retry(3, first="50ms", most="1s"))
    async def desk(e: Signed) -> None:
        try:
            await sign(e.key)
        except StepFailed:
            await book("unsigned")
        OUTSIDE.stumble()
        await book("desk")

    return (depot,)


async def _complete(scene: Scene) -> None:
    """Somebody says what came of a step, perhaps of one that is over, perhaps once more."""
    tokens = OUTSIDE.notes[TOKENS]
    if not tokens:
        return
    token = tokens[-1 - scene.chance.pick(min(len(tokens), 3))]
    if scene.chance.pick(5) == 4:
        await scene.ways.complete(token.text, None, "not today", None)
        return
    data = msgspec.json.encode(f"signed {scene.chance.pick(100)}")
    told = Told(token.execution, token.position, data, is_taken=False)
    OUTSIDE.notes[TOLD].append(told)
    await scene.ways.complete(token.text, data, None, None)
    OUTSIDE.notes[TOLD].append(told._replace(is_taken=True))


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said | Act]:
    match chance.pick(4):
        case 0 | 1:
            yield Said(Hauled(key, n))
            if chance.pick(2):
                yield Said(Hauled(key, n + 1000), later_s=4.0)
        case _:
            yield Said(Signed(key, n))
            for _ in range(1 + chance.pick(3)):
                yield Act(_complete, (0.0, 0.02, 0.5, 5.0, 30.0)[chance.pick(5)])


def _check(file: StoredFile, _: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*_forgotten(), *_completed_wrongly(file), *_left_over(file)):
        yield "long", what


def _forgotten() -> Iterator[str]:
    """Who is tried again in the same life knows what was said last; in another one nobody knows more than was said."""
    by_execution: defaultdict[int, list[Beat]] = defaultdict(list)
    for beat in OUTSIDE.notes[BEATS]:
        by_execution[beat.execution].append(beat)
    for execution, beats in by_execution.items():
        for place, beat in enumerate(beats):
            if not beat.begins or not place:
                continue
            before = beats[place - 1]
            said = max(each.leg for each in beats[:place])
            if beat.leg > said or (beat.life == before.life and beat.leg != before.leg):
                yield f"execution {execution} went on after leg {beat.leg}, and {before} was said before"


def _completed_wrongly(file: StoredFile) -> Iterator[str]:
    """A step that was completed from outside has what was said first and taken; and nobody else's word."""
    said: defaultdict[tuple[int, str], set[bytes]] = defaultdict(set)
    taken: defaultdict[tuple[int, str], set[bytes]] = defaultdict(set)
    for told in OUTSIDE.notes[TOLD]:
        (taken if told.is_taken else said)[told.execution, told.position].add(told.data)
    for (execution, position), data in taken.items():
        if len(data) > 1:
            yield f"{position} of execution {execution} was completed with {data}"
        results = {entry.result for entry in _results(file, execution) if entry.position == position}
        if results and results != data:
            yield f"{position} of execution {execution} was completed with {data}, and has {results}"
        if not results and file.executions[execution].status == Status.DONE:
            yield f"{position} of execution {execution} was completed with {data}, and nobody took it"
    for execution in file.journals:
        for entry in _results(file, execution):
            if entry.position.startswith("sign#") and entry.result not in said[execution, entry.position]:
                yield f"{entry.position} of execution {execution} has {entry.result!r}, which nobody said"


def _results(file: StoredFile, execution: int) -> list[Stepped]:
    return [entry for entry in file.journals.get(execution, ()) if isinstance(entry, Stepped)]


def _left_over(file: StoredFile) -> Iterator[str]:
    """What was said of a step is kept until it has taken it, and no longer."""
    for topic, body in file.notes_of("completion", "heartbeat"):
        execution: int = msgspec.msgpack.decode(body)[0]
        position: str = msgspec.msgpack.decode(body)[1]
        if any(entry.position == position for entry in _results(file, execution)):
            yield f"a {topic} of {position} of execution {execution} is kept, and the step has ended"


def _seen(file: StoredFile) -> Iterator[str]:
    beats = OUTSIDE.notes[BEATS]
    if any(beat.begins and beat.leg > 0 for beat in beats):
        yield "a step went on where it had said that it was"
    if any(beat.begins and beat.leg > 0 and beat.life > 1 for beat in beats):
        yield "a step went on there in another life"
    for entries in file.journals.values():
        if any(isinstance(entry, HandedOver) for entry in entries):
            yield "a step was left to somebody outside"
        if any(entry.position.startswith("sign#") and isinstance(entry, Stepped) for entry in entries):
            yield "a step was completed from outside"


LONG_STEPS: Final = Play(
    "long steps",
    _services,
    _deeds,
    _check,
    (
        "a step went on where it had said that it was",
        "a step went on there in another life",
        "a step was left to somebody outside",
        "a step was completed from outside",
    ),
    _seen,
    effects={"depot.cart": ["cart"], "depot.desk": ["desk"]},
)
