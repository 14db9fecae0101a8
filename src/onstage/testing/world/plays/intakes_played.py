"""The intake table: users put events into a database of their own, and the node takes them in, whatever dies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.embedding.intake_database import IntakeDatabase
from onstage.embedding.intake_poller import IntakePoller
from onstage.embedding.intake_row import IntakeRow
from onstage.embedding.intake_table import admitting
from onstage.errors import StoreUnavailable
from onstage.events.event import event, event_type
from onstage.testing.checks.acknowledgements import at_the_door, identity_of
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Act, Play, Scene
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["INTAKES", "Booked"]

SOON: Final = Retry(3, first="50ms", most="1s")
UNKNOWN: Final = "world.unheard-of"
TABLE: Final = "rows of the intake table"
WRITTEN: Final = "rows that their transaction has committed"
REFUSED: Final = "rows that were set aside"
LATE: Final = "rows that were committed behind later ones"


@event("world.booked", key="key")
@dataclass(frozen=True)
class Booked:
    """Something that users have written down in a table of theirs, in the same transaction."""

    key: str
    n: int


class Gone(Exception):
    """The users' database does not answer."""


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    quay = Service("quay", tables=TABLES)

    @quay.on(Booked, retry=SOON)
    async def enter(_: Booked) -> None:
        OUTSIDE.stumble()
        await book("enter")

    return (quay,)


class _Users(NamedTuple):
    """Their database: it fails before a statement, or after it so that nobody knows."""

    fails: Callable[[], bool]

    async def run(self, work: Callable[[Callable[[str, Sequence[Any]], Any]], Any]) -> Any:
        """One transaction."""
        if self.fails():
            raise Gone("the connection is lost")
        answer = work(self.execute)
        await asyncio.sleep(0)
        if self.fails():
            raise Gone("the answer was lost")
        return answer

    def execute(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The few statements of an intake."""
        rows: list[IntakeRow] = OUTSIDE.notes[TABLE]
        match sql.partition(" ")[0]:
            case "SELECT":
                aside = {n for n, _ in OUTSIDE.notes[REFUSED]}
                return [tuple(row) for row in sorted(rows) if row.n not in aside]
            case "DELETE":
                rows[:] = [row for row in rows if row.n != values[0]]
            case "UPDATE":
                OUTSIDE.notes[REFUSED].append((values[1], values[0]))
            case _:
                pass
        return []

    async def close(self) -> None:
        """Nothing to close."""


def _write(n: int, name: str, type_name: str, event: Any, pause_s: float) -> Act:
    """A transaction of users: its rows have their numbers when it begins, and are there when it commits."""

    async def write(_: Scene) -> None:
        payload = event_type(Booked).encode(event)
        row = IntakeRow(n, name, type_name, payload.decode())
        await asyncio.sleep(pause_s)
        if any(later.n > n for later in OUTSIDE.notes[WRITTEN]):
            OUTSIDE.notes[LATE].append(n)
        OUTSIDE.notes[TABLE].append(row)
        OUTSIDE.notes[WRITTEN].append(row)

    return Act(write)


async def _take(scene: Scene) -> None:
    """The node looks for rows, as its poller does again and again."""
    users = _Users(lambda: not scene.end and scene.chance.pick(4) == 1)
    poller = IntakePoller(IntakeDatabase(users.run, "sqlite", users.close), admitting(scene.ways))
    for _ in range(20 if scene.end else 3):
        try:
            await poller.take()
        except (Gone, StoreUnavailable):
            await asyncio.sleep(1.0)


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Act]:
    for place in range(1 + chance.pick(3)):
        number = 10 * n + place
        known = "world.booked" if chance.pick(6) else UNKNOWN
        pause_s = (0.0, 0.0, 0.01, 3.0)[chance.pick(4)]
        yield _write(number, f"booking {number}", known, Booked(key, number), pause_s)
    if chance.pick(4) == 3:
        again = 10 * n + 7  # the same event once more, in a row of its own
        yield _write(again, f"booking {10 * n}", "world.booked", Booked(key, 10 * n), 1.0)
    yield Act(_take, (0.0, 0.005, 0.5)[chance.pick(3)])
    yield Act(_take, 4.0)


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    stored = at_the_door(file.rows)
    aside = {n for n, _ in OUTSIDE.notes[REFUSED]}
    written: list[IntakeRow] = OUTSIDE.notes[WRITTEN]
    names = {row.id: row for row in written if row.n not in aside}
    for row in OUTSIDE.notes[TABLE]:
        if row.n not in aside:
            yield "intake", f"row {row.n} is still there"
    for row in written:
        if (row.n in aside) != (row.type == UNKNOWN or _is_another(row, written)):
            yield "intake", f"row {row.n} ({row.type}) was {'set aside' if row.n in aside else 'taken'}"
    for name, row in names.items():
        n = stored.get(identity_of(name), 0)
        if not n:
            yield "intake", f"{name} was taken out of the table, and is nowhere"
        elif n not in onlooker.poisoned and file.payloads[n] != row.data.encode():
            yield "intake", f"{name} is stored as {file.payloads[n]!r}"
    events = sum(stored.type == "world.booked" for stored in file.events.values())
    if events != len(names):
        yield "intake", f"{events} events came of {len(names)}"


def _is_another(row: IntakeRow, written: Sequence[IntakeRow]) -> bool:
    """Whether a row has the id of one with another payload: of an unknown type, that is, which was never taken."""
    return any(other.id == row.id and other.type != UNKNOWN and other.data != row.data for other in written)


def _seen(_: StoredFile) -> Iterator[str]:
    if OUTSIDE.notes[REFUSED]:
        yield "a row of the intake was set aside"
    if OUTSIDE.notes[LATE]:
        yield "a row of the intake came behind later ones"
    names = [row.id for row in OUTSIDE.notes[WRITTEN]]
    if len(set(names)) < len(names):
        yield "a row of the intake came twice"


INTAKES: Final = Play(
    "intakes",
    _services,
    _deeds,
    _check,
    (
        "a row of the intake was set aside",
        "a row of the intake came behind later ones",
        "a row of the intake came twice",
    ),
    _seen,
    effects={"quay.enter": ["enter"]},
    at_end=_take,
)
