"""Changed code: executions that began before a deployment go on after it, with what was stored by the code before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.contracts.service import Service
from onstage.core.commit import event_of
from onstage.core.journal import Patched, Stepped, Undone
from onstage.core.retry import Retry
from onstage.errors import Reject
from onstage.events.event import event
from onstage.events.receipt import Status
from onstage.runtime.calls import sleep
from onstage.runtime.patched import patched
from onstage.runtime.step import step
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, book, drive
from onstage.versions import upcast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["CHANGES", "Designed", "Drawn", "Sketched"]

SOON: Final = Retry(3, first="50ms", most="1s")


@event("world.designed", key="key")
@dataclass(frozen=True)
class Designed:
    """Something is to be drawn; every fourth is given up."""

    key: str
    n: int


@event("world.drawn", key="key")
@dataclass(frozen=True)
class Sketched:
    """A drawing, as it was before the deployment."""

    key: str
    n: int
    lines: int


@event("world.drawn", key="key", version=2)
@dataclass(frozen=True)
class Drawn:
    """A drawing, as it is today: what it says of itself, and whether both changes were there."""

    key: str
    n: int
    text: str
    changes: tuple[bool, ...] = ()


@event("world.framed", key="key")
@dataclass(frozen=True)
class Framed:
    """What was read in a drawing."""

    key: str
    n: int
    text: str


@upcast(Drawn, 1, 2)
def _with_text(old: dict[str, Any]) -> dict[str, Any]:
    return {"key": old["key"], "n": old["n"], "text": f"{old['lines']} lines"}


async def wipe_before(lines: int, key: str, n: int) -> None:
    """Undo `ink`, as it was."""
    await OUTSIDE.act("wipe", f"{key}/{n}: {lines} lines")


async def wipe(text: str, key: str, n: int) -> None:
    """Undo `ink`, as it is."""
    await OUTSIDE.act("wipe", f"{key}/{n}: {text}")


@step(name="ink", retry=SOON, undo=wipe_before)
async def ink_before(key: str, n: int) -> int:
    """Answers a number, as it was."""
    await OUTSIDE.act("ink", f"{key}/{n}")
    return n


@step(name="ink", retry=SOON, undo=wipe, version=2)
async def ink(key: str, n: int) -> str:
    """Answers a text, as it is."""
    await OUTSIDE.act("ink", f"{key}/{n}")
    return f"{n} lines"


@upcast(ink, 1, 2)
def _as_text(old: int) -> str:
    return f"{old} lines"


async def draw_before(e: Designed) -> Sketched:
    """As it was before the deployment."""
    lines = await ink_before(e.key, e.n)
    await sleep("25s")
    if e.n % 4 == 3:
        raise Reject("not this one")
    OUTSIDE.stumble()
    await sleep("5s")
    await book("draw")
    return Sketched(e.key, e.n, lines)


async def draw(e: Designed) -> Drawn:
    """As it is today: what is recorded of the step has another type, and there are two more calls."""
    text = await ink(e.key, e.n)
    first = patched("rule")
    if first:
        await drive(e.key, e.n)
    await sleep("25s")
    if e.n % 4 == 3:
        raise Reject("not this one")
    second = patched("sign")
    if second:
        await drive(e.key, e.n)
    OUTSIDE.stumble()
    await sleep("5s")
    await book("draw")
    return Drawn(e.key, e.n, text, (first, second))


@cache
def _services(today: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    studio, wall = Service("studio", tables=TABLES), Service("wall", tables=TABLES)
    drawing: Any = Drawn if today else Sketched
    drawer: Any = draw if today else draw_before
    studio.on(Designed, name="draw", retry=SOON)(drawer)

    async def frame(e: Any) -> Framed:
        text = e.text if today else f"{e.lines} lines"
        if today:
            OUTSIDE.notes["framed today"].append("of version 2" if e.changes else "of version 1")
        await sleep("12s")
        await book("frame")
        return Framed(e.key, e.n, text)

    framing: Any = wall.on(drawing, name="frame", retry=SOON)
    framing(frame)
    return studio, wall


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    yield Said(Designed(key, n))
    if chance.pick(2):
        yield Said(Designed(key, n + 1000), later_s=20.0)


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*_wrongly_patched(file), *_read_otherwise(file, onlooker), *_undone_otherwise()):
        yield "changes", what


def _wrongly_patched(file: StoredFile) -> Iterator[str]:
    """An execution is on the new side of a change if it had not come so far before the deployment, and keeps to it."""
    for execution, entries in file.journals.items():
        at: dict[str, int] = {}
        for place, entry in enumerate(entries):
            at.setdefault(entry.position, place)
        for entry in entries:
            if not isinstance(entry, Patched):
                continue
            behind = "sleep#0" if entry.position == "patch rule" else "sleep#1"
            if entry.new != (at[entry.position] < at.get(behind, len(entries))):
                yield f"execution {execution} has {entry} in {list(at)}"
        changes = sum(isinstance(entry, Patched) and entry.new for entry in entries)
        drives = sum(position.startswith("drive#") for position in at)
        ended = file.executions[execution].status == Status.DONE
        if file.handler_of(execution) == "studio.draw" and (drives > changes or (ended and drives != changes)):
            yield f"execution {execution} has {changes} changes, and {drives} calls that came with them"


def _read_otherwise(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """Whatever version an event was written in, it says the same to who reads it."""
    for n, row in file.events.items():
        if row.type != "world.framed" or onlooker.poisoned & {n, event_of(row.cause)}:
            continue
        framed = msgspec.json.decode(file.payloads[n], type=Framed)
        if framed.text != f"{framed.n} lines":
            yield f"event {n} says {framed.text!r} of number {framed.n}"


def _undone_otherwise() -> Iterator[str]:
    for call in OUTSIDE.calls:
        place, _, text = call.argument.partition(": ")
        if call.step == "wipe" and text != f"{place.rpartition('/')[2]} lines":
            yield f"{place} was undone with {text!r}"


def _seen(file: StoredFile) -> Iterator[str]:
    for entries in file.journals.values():
        sides = [entry.new for entry in entries if isinstance(entry, Patched)]
        if False in sides:
            yield "an execution stayed on the old side of a change"
        if sides == [False, True]:
            yield "an execution went over to the new side midway"
        inked = [e.version for e in entries if isinstance(e, Stepped) and e.position == "ink#0"]
        if inked == [1] and sides:
            yield "a result was lifted"
        if inked == [1] and any(isinstance(e, Undone) for e in entries) and sides:
            yield "a lifted result was undone"
    if "of version 1" in OUTSIDE.notes["framed today"]:
        yield "an event of an older version was handled"


CHANGES: Final = Play(
    "changes",
    _services,
    _deeds,
    _check,
    (
        "an execution stayed on the old side of a change",
        "an execution went over to the new side midway",
        "a result was lifted",
        "a lifted result was undone",
        "an event of an older version was handled",
    ),
    _seen,
    effects={"studio.draw": ["draw"], "wall.frame": ["frame"]},
    changes=True,
)
