"""I10: what was acknowledged is stored, once, as part of the process that was named."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from onstage.runtime.admission import OWN_SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from onstage.testing.checks.stored_file import Rows, StoredFile

__all__ = ["at_the_door", "identity_of", "is_durable", "lost"]


def identity_of(id: str) -> bytes:
    """The identity under which a store keeps an event that came in under this id, and from no other source."""
    return blake2b(f"{OWN_SOURCE}\0{id}".encode(), digest_size=16).digest()


def is_durable(rows: Rows, identity: bytes) -> bool:
    """Whether an event with this identity is stored at this very moment."""
    sql = "select 1 from onstage_door d join onstage_event e on e.n = d.n where d.identity = ?"
    return bool(rows(sql, identity))


def at_the_door(rows: Rows) -> dict[bytes, int]:
    """What came from outside under an identity: the number of the event."""
    return dict(rows("select d.identity, d.n from onstage_door d join onstage_event e on e.n = d.n"))


def lost(file: StoredFile, told: Iterable[tuple[bytes, str, str]]) -> Iterator[str]:
    """What was acknowledged, as (identity, public id of the process, what it was), and is not there.

    Also what came from outside twice under one identity.
    """
    stored = at_the_door(file.rows)
    processes = {wire for (wire,) in file.rows("select wire_id from onstage_process")}
    for identity, process, what in told:
        if identity not in stored:
            yield f"{what} was acknowledged and is lost"
        elif process not in processes:
            yield f"{what} was acknowledged as part of {process}, which is lost"
    events = list(stored.values())
    if len(set(events)) != len(events):
        yield "an event stands at the door under two identities"
