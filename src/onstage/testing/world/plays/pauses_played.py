"""Pauses: somebody holds back a handler or a service, and lets it go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.errors import UsageError
from onstage.events.event import event
from onstage.runtime.calls import sleep
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Act, Play, Said, Scene
from onstage.testing.world.repertoire import TABLES, book, drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.outside import Began
    from onstage.testing.world.tape import Stream

__all__ = ["PAUSES", "Held", "Knocked"]

SOON: Final = Retry(3, first="50ms", most="1s")
PAUSABLE: Final = ("lock.enter", "lock.leave", "lock")
SLACK_S: Final = 0.01
HELD: Final = "pauses that hold"
LET_GO: Final = "what was let go"
OVER: Final = "pauses that are over"


@event("world.knocked", key="key")
@dataclass(frozen=True)
class Knocked:
    """Wants to get through."""

    key: str
    n: int


class Held(NamedTuple):
    """What was paused: in which life and when, and from where to where in the record of what has begun."""

    name: str
    life: int
    at_s: float
    since: int
    until: int


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    lock = Service("lock", tables=TABLES)

    @lock.on(Knocked, retry=SOON)
    async def enter(e: Knocked) -> None:
        with OUTSIDE.handling():
            await drive(e.key, e.n)
            await sleep("6s")
            OUTSIDE.stumble()
            await book("enter")

    @lock.on(Knocked, name="leave", retry=SOON, concurrency=2)
    async def leave(_: Knocked) -> None:
        with OUTSIDE.handling():
            OUTSIDE.stumble()
            await book("leave")

    return (lock,)


async def _pause(scene: Scene) -> None:
    name = PAUSABLE[scene.chance.pick(len(PAUSABLE))]
    let_go = len(OUTSIDE.notes[LET_GO])
    await scene.ways.set_pause(name, paused=True, by="somebody")
    if name in OUTSIDE.notes[LET_GO][let_go:]:
        return  # who was first nobody knows
    if not any(held.name == name for held in OUTSIDE.notes[HELD]):
        OUTSIDE.notes[HELD].append(Held(name, OUTSIDE.life, asyncio.get_running_loop().time(), len(OUTSIDE.begun), 0))


async def _resume(scene: Scene) -> None:
    name = PAUSABLE[scene.chance.pick(len(PAUSABLE))]
    await _let_go(scene, name)


async def _let_go(scene: Scene, name: str) -> None:
    OUTSIDE.notes[LET_GO].append(name)
    held = [each for each in OUTSIDE.notes[HELD] if each.name == name]
    for each in held:  # from here on it may go on, whether or not anybody is told
        OUTSIDE.notes[HELD].remove(each)
        OUTSIDE.notes[OVER].append(each._replace(until=len(OUTSIDE.begun)))
    await scene.ways.set_pause(name, paused=False, by="somebody")


async def _let_all_go(scene: Scene) -> None:
    for name in PAUSABLE:
        try:
            await _let_go(scene, name)
        except UsageError:
            continue  # it was not paused


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said | Act]:
    yield from (Said(Knocked(key, 10 * n + place)) for place in range(1 + chance.pick(2)))
    if chance.pick(2):
        yield Act(_pause, (0.0, 0.005, 2.0)[chance.pick(3)])
    else:
        yield Act(_resume, (0.0, 1.0)[chance.pick(2)])
    yield Said(Knocked(key, 10 * n + 5), later_s=(0.02, 3.0)[chance.pick(2)])


def _check(_: StoredFile, __: Onlooker) -> Iterator[tuple[str, str]]:
    for held in OUTSIDE.notes[OVER]:
        for began in OUTSIDE.begun[held.since : held.until]:
            if held.name in (began.handler, began.handler.partition(".")[0]) and _may_not(held, began):
                yield "pauses", f"{held.name} was paused, and execution {began.execution} of {began.handler} began"


def _may_not(held: Held, began: Began) -> bool:
    """Whether it was not let in before the pause: that begins in the same moment, or when a slow commit is over."""
    return began.life != held.life or (OUTSIDE.disk_was_quick and began.at_s > held.at_s + SLACK_S)


def _seen(_: StoredFile) -> Iterator[str]:
    for held in OUTSIDE.notes[OVER]:
        yield "something was paused, and went on"
        during = OUTSIDE.begun[held.since : held.until]
        if during and during[0].life != during[-1].life:
            yield "a pause outlived a restart"
        if held.name == "lock":
            yield "a service was paused"


PAUSES: Final = Play(
    "pauses",
    _services,
    _deeds,
    _check,
    ("something was paused, and went on", "a service was paused", "a pause outlived a restart"),
    _seen,
    effects={"lock.enter": ["enter"], "lock.leave": ["leave"]},
    at_end=_let_all_go,
)
