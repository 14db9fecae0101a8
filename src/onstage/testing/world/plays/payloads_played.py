"""Payloads: large ones are kept apart from their rows while something names them, sealed ones open nowhere else.

Two plays have the same services: in one payloads are large, in the other they are sealed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.contracts.service import Service
from onstage.core.commit import event_of
from onstage.core.journal import PAYLOAD_FIELDS, Stepped
from onstage.core.retry import Retry
from onstage.events.event import event
from onstage.runtime.calls import sleep
from onstage.runtime.step import step
from onstage.state import state
from onstage.testing.checks.stored_payloads import SEALED, named_in, recorded
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["OFFLOADS", "SEALS", "Bolt", "Shipped", "Stored"]

SOON: Final = Retry(3, first="50ms", most="1s")
LARGE: Final = 400
"""Payloads of more bytes are kept apart: those of this play, and of its neighbours none."""

BULK: Final = 600
KEYS: Final = ("one", "two")


@event("world.stored", key="key")
@dataclass(frozen=True)
class Stored:
    """Something bulky goes into the store; with `n` % 3 == 2 what is there is thrown away."""

    key: str
    n: int
    bulk: str


@event("world.shipped", key="key")
@dataclass(frozen=True)
class Shipped:
    """Something bulky, as it was made of what came."""

    key: str
    n: int
    bulk: str


@dataclass(frozen=True)
class Shelf:
    """What is kept."""

    bulk: str


@step(retry=SOON)
async def wrap(key: str, bulk: str) -> str:
    """Answers something bulky."""
    await OUTSIDE.act("wrap", key)
    return f"({bulk})"


@final
class Bolt:
    """A codec for worlds: quick, and it sees whether a payload is at its place. It hides nothing from anybody."""

    @property
    def key_id(self) -> str:
        """The newest key: another one in every second life."""
        return KEYS[OUTSIDE.life % len(KEYS)]

    def encrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        """Turn each byte round, behind a tag of all."""
        return self._tag(key_id, data, associated) + data.translate(_TURNED)

    def decrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        """What was given. Raises ValueError for a payload of another place, KeyError for a key that never was."""
        plain = data[16:].translate(_TURNED)
        if key_id not in KEYS:
            raise KeyError(key_id)
        if self._tag(key_id, plain, associated) != data[:16]:
            raise ValueError("it belongs elsewhere")
        return plain

    @staticmethod
    def _tag(key_id: str, data: bytes, associated: bytes) -> bytes:
        return blake2b(data + associated, digest_size=16, key=key_id.encode()).digest()


_TURNED: Final = bytes(255 - byte for byte in range(256))


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    barn = Service("barn", tables=TABLES)

    @barn.on(Stored, retry=SOON)
    async def store(e: Stored) -> Shipped:
        shelf = await state(Shelf, key=e.key)
        wrapped = await wrap(e.key, e.bulk)
        OUTSIDE.stumble()
        if e.n % 3 == 2:
            shelf.clear()
        else:
            shelf.set(Shelf(wrapped))
        await book("store")
        return Shipped(e.key, e.n, wrapped)

    @barn.on(Shipped, retry=SOON)
    async def ship(e: Shipped) -> None:
        await wrap(e.key, e.bulk)
        await sleep("3s")
        await book("ship")

    return (barn,)


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    letter = "xyz"[chance.pick(3)]
    for place in range(1 + chance.pick(2)):
        yield Said(Stored(key, 10 * n + place, letter * BULK))


def _changed(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """What was made of something bulky is what its step says, wherever it was kept, under whatever key."""
    for n, row in file.events.items():
        if row.type != "world.shipped" or onlooker.poisoned & {n, event_of(row.cause)}:
            continue
        came = msgspec.json.decode(file.payloads[event_of(row.cause)], type=Stored)
        left = msgspec.json.decode(file.payloads[n], type=Shipped)
        if left.bulk != f"({came.bulk})":
            yield f"event {n} holds {left.bulk[:20]}, and was made of {came.bulk[:20]}"


def _named(file: StoredFile) -> Counter[str]:
    """How many rows name each payload that is kept apart."""
    sql = "select data from onstage_event where typeof(data) = 'text'"
    found = Counter(name for (name,) in file.rows(sql))
    found.update(name for (name,) in file.rows("select data from onstage_state where typeof(data) = 'text'"))
    for (body,) in file.rows("select body from onstage_entry"):
        found.update(named_in(body).values())
    return found


def _offloads(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    found = [*_counted_wrongly(file, onlooker)]
    for what in found or _changed(file, onlooker):
        yield "offload", what


def _counted_wrongly(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    """Whatever is named is there, is counted, and is gone when nothing names it."""
    named = _named(file)
    bodies = dict(file.rows("select hash, body from onstage_blob_body"))
    counts = dict(file.rows("select hash, refs from onstage_blob"))
    for name in named:
        if name not in bodies or blake2b(bodies[name], digest_size=32).hexdigest() != name:
            yield f"the payload {name} is named {named[name]} times, and is not there"
    for name in counts.keys() | bodies.keys() | named.keys():
        count = counts.get(name, 0)
        # Whoever spoils a payload in its row takes a name away behind the back of those who count.
        if count < named[name] or (count > named[name] and not onlooker.poisoned):
            yield f"the payload {name} is named {named[name]} times, and counted {count} times"
    if unused := [name for name in bodies if not counts.get(name)]:
        yield f"nothing names {unused}, and it was not collected"


def _seals(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    found = [f"{what} can be read by anybody" for what in _open_to_all(file, onlooker)]
    for what in found or _changed(file, onlooker):
        yield "seal", what


def _open_to_all(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    for n, data in file.rows("select n, data from onstage_event"):
        if n not in onlooker.poisoned and not _is_sealed(data):
            yield f"event {n}"
    for name, key, data in file.rows("select state, key, data from onstage_state where data is not null"):
        if not _is_sealed(data):
            yield f"the state {name} of {key}"
    for execution, body in file.rows("select execution, body from onstage_entry"):
        entry, apart = recorded(body), named_in(body)
        fields = [field for field in PAYLOAD_FIELDS if isinstance(getattr(entry, field, None), bytes)]
        if plain := [field for field in fields if field not in apart and not _is_sealed(getattr(entry, field))]:
            yield f"{plain} of {entry.position} of execution {execution}"
    for (body,) in file.rows("select body from onstage_blob_body"):
        if not _is_sealed(body):
            yield "a payload that is kept apart"


def _is_sealed(data: Any) -> bool:
    return isinstance(data, str) or data[:2] == SEALED


def _seen_apart(file: StoredFile) -> Iterator[str]:
    named = _named(file)
    if named:
        yield "a payload was kept apart"
    if max(named.values(), default=0) > 1:
        yield "several rows named one payload"
    held = {name for (name,) in file.rows("select data from onstage_state where typeof(data) = 'text'")}
    wrapped = [e.result for entries in file.journals.values() for e in entries if isinstance(e, Stepped)]
    if held and len(wrapped) > 1:
        yield "a state was kept apart"


def _seen_sealed(file: StoredFile) -> Iterator[str]:
    keys = {data[3 : 3 + data[2]] for (data,) in file.rows("select data from onstage_event") if data[:2] == SEALED}
    if keys:
        yield "payloads were sealed"
    if len(keys) > 1:
        yield "payloads were sealed with several keys"


EFFECTS: Final = {"barn.store": ["store"], "barn.ship": ["ship"]}

OFFLOADS: Final = Play(
    "offloads",
    _services,
    _deeds,
    _offloads,
    ("a payload was kept apart", "several rows named one payload", "a state was kept apart"),
    _seen_apart,
    effects=EFFECTS,
    offload_above=LARGE,
)
SEALS: Final = Play(
    "seals",
    _services,
    _deeds,
    _seals,
    ("payloads were sealed", "payloads were sealed with several keys"),
    _seen_sealed,
    effects=EFFECTS,
    codec=Bolt(),
)
