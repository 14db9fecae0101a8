"""Time: events for later, events that are good for a while, and a handler that runs by a plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from onstage.contracts.schedule import Tick
from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.events.delayed import LATER, When
from onstage.events.event import event
from onstage.events.receipt import Status
from onstage.runtime.calls import emit
from onstage.testing.checks.delayed_events import TICK, begun_after_expiry, released_wrongly, runs_unaccounted
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said, Scene
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["TIMES", "Reminded", "Rung"]

SOON: Final = Retry(3, first="50ms", most="1s")
CHIME: Final = "bell.chime"
PERIOD_S: Final = 40


@event("world.rung", key="key")
@dataclass(frozen=True)
class Rung:
    """Somebody is to be reminded after some seconds, or not at all if it takes much longer."""

    key: str
    n: int
    after_s: float


@event("world.reminded", key="key")
@dataclass(frozen=True)
class Reminded:
    """It is time."""

    key: str
    n: int


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    bell = Service("bell", tables=TABLES)

    @bell.on(Rung, retry=SOON, emits=[Reminded])
    async def ring(e: Rung) -> None:
        await emit(Reminded(e.key, e.n), after=e.after_s, expires="8s" if e.n % 2 else None)
        OUTSIDE.stumble()
        await book("ring")

    @bell.on(Reminded, retry=SOON)
    async def remind(_: Reminded) -> None:
        await book("remind")
        OUTSIDE.stumble()

    @bell.every(f"{PERIOD_S}s", catch_up="90s", retry=SOON)
    async def chime(_: Tick) -> None:
        await book("chime")

    return (bell,)


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    after_s = (0.0, 5.0, 30.0, 100.0)[chance.pick(4)]
    match chance.pick(3):
        case 0:
            yield Said(Rung(key, n, after_s))
        case 1:
            yield Said(Reminded(key, n), when=When(after=round(after_s * 1000)))
        case _:
            yield Said(Reminded(key, n), when=When(lasts=round(after_s * 1000) + 1))


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*released_wrongly(file, onlooker.poisoned), *begun_after_expiry(file, {"bell.remind"})):
        yield "delays", what
    for what in runs_unaccounted(file, CHIME, PERIOD_S * 1000, onlooker.poisoned):
        yield "schedules", what


async def _stop(scene: Scene) -> None:
    await scene.ways.schedule("pause", CHIME, None, None)


def _seen(file: StoredFile) -> Iterator[str]:
    for stored in file.events.values():
        if stored.type == LATER:
            yield "an event was kept for later"
        elif stored.type == f"{TICK}{CHIME}":
            yield "a schedule ran"
    for execution, row in file.executions.items():
        if row.status == Status.SKIPPED and file.handler_of(execution) == "bell.remind":
            yield "an event has expired"


TIMES: Final = Play(
    "times",
    _services,
    _deeds,
    _check,
    ("an event was kept for later", "a schedule ran", "an event has expired"),
    _seen,
    effects={"bell.ring": ["ring"], "bell.remind": ["remind"], CHIME: ["chime"]},
    unordered=frozenset({CHIME}),  # a run that was set aside does not hold up the next
    at_end=_stop,
)
