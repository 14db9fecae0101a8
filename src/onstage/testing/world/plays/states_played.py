"""Keyed state: handlers of a key add to what is kept, take it out, and stumble in between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.contracts.service import Service
from onstage.core.journal import StateWritten
from onstage.core.retry import Retry
from onstage.events.event import event
from onstage.events.receipt import Status
from onstage.state import state
from onstage.testing.checks.keyed_states import states_of, versions_with_gaps
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, book, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["STATES", "Emptied", "Paid", "Till"]

SOON: Final = Retry(3, first="50ms", most="1s")


@event("world.paid", key="key")
@dataclass(frozen=True)
class Paid:
    """`n` goes into the till of this key."""

    key: str
    n: int


@event("world.emptied", key="key")
@dataclass(frozen=True)
class Emptied:
    """All is taken out."""

    key: str
    n: int


@event("world.counted", key="key")
@dataclass(frozen=True)
class Counted:
    """What was taken out."""

    key: str
    ns: tuple[int, ...]


@dataclass(frozen=True)
class Till:
    """What is in it."""

    ns: tuple[int, ...] = ()


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    till = Service("till", tables=TABLES)

    @till.on(Paid, retry=SOON)
    async def add(e: Paid) -> None:
        kept = await state(Till, key=e.key)
        OUTSIDE.stumble()
        if e.n % 2:
            await pack(e.key)
        kept.set(Till((*kept.get(Till()).ns, e.n)))
        await book("add")

    @till.on(Emptied, retry=SOON)
    async def empty(e: Emptied) -> Counted:
        kept = await state(Till, key=e.key)
        found = kept.get(Till()).ns
        kept.clear()
        OUTSIDE.stumble()
        return Counted(e.key, found)

    return (till,)


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    cls: Any = (Paid, Paid, Paid, Emptied)[chance.pick(4)]
    yield from (Said(cls(key, 10 * n + place)) for place in range(1 + chance.pick(2)))
    if cls is Emptied:
        yield Said(Paid(key, 10 * n + 8), later_s=1.0)
        yield Said(Emptied(key, 10 * n + 9), later_s=3.0)


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in (*versions_with_gaps(file, "till"), *_other_than_paid(file, onlooker)):
        yield "state", what


def _other_than_paid(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """What is kept and what was taken out are what the events of the key add up to, in the order of the log."""
    counted = {row.cause: file.payloads[n] for n, row in file.events.items() if row.type == "world.counted"}
    kept = states_of(file)
    for key, handled in _handled(file).items():
        if onlooker.poisoned & {execution >> 16 for execution in handled}:
            continue
        ns: tuple[int, ...] = ()
        for execution in handled:
            if file.handler_of(execution) == "till.add":
                ns = (*ns, msgspec.json.decode(file.payloads[execution >> 16], type=Paid).n)
                continue
            taken = msgspec.json.decode(counted[execution], type=Counted).ns if execution in counted else ns
            if taken != ns:
                yield f"{taken} was taken out of {key}, and {ns} was in it"
            ns = ()
        _, data = kept.get(("till.Till", key), (0, None))
        if (msgspec.json.decode(data, type=Till).ns if data else ()) != ns:
            yield f"{data!r} is kept for {key}, and {ns} was paid"


def _handled(file: StoredFile) -> dict[str, list[int]]:
    """The executions that did their part, by key, in the order of the log; of those that were dropped some have."""
    found: dict[str, list[int]] = {}
    for execution, row in file.executions.items():
        has_written = any(isinstance(entry, StateWritten) for entry in file.journals.get(execution, ()))
        did = row.status == Status.DONE or (row.status == Status.DROPPED and has_written)
        if file.handler_of(execution).startswith("till.") and did:
            found.setdefault(file.events[execution >> 16].key or "", []).append(execution)
    return found


def _seen(file: StoredFile) -> Iterator[str]:
    for version, data in states_of(file).values():
        if version > 1:
            yield "a state was written again"
        if data is None:
            yield "a state was cleared"


STATES: Final = Play(
    "states",
    _services,
    _deeds,
    _check,
    ("a state was written again", "a state was cleared"),
    _seen,
    effects={"till.add": ["add"]},
)
