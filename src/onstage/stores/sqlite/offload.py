"""Large payloads beside the rows that name them: each content once, counted, removed when nothing names it.

Theory of operation. Just before a batch is written, each payload in it above the threshold gives way to the hash of its
content; the bodies and their counts are written first, in the same transaction. So after a crash there is no reference
without its body and no count that is wrong. What a batch refuses is not among its rows, and never comes here.

References are counted, not looked for: what is left to remove is then known at once, by an index that holds nothing
else, and no scan of the store ever runs. A count rises with each row that names the content (an event, a field of a
journal entry, a keyed state), and falls when a state is replaced or cleared, the only row that ever goes. Events and
journals are kept for ever, so what replay, undo, a mailbox or an open process may need is always counted. Whatever
prunes them one day must `_release` what they name in the same transaction, and read a journal in one snapshot.

Garbage is removed by the batches themselves, at most `COLLECTED_MAX` bodies by each: the disk is synced no more often,
a failure is the batch's, and a store that nobody writes to does not grow.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.core.journal import PAYLOAD_FIELDS, decode_entry, encode_entry
from onstage.errors import StoreUnavailable
from onstage.stores.sqlite.queries import query

if TYPE_CHECKING:
    import apsw

    from onstage.core.journal import Entry

__all__ = ["COLLECTED_MAX", "Offload", "read_entry"]

COLLECTED_MAX: Final = 8

_MARK: Final = b"\xc1"  # begins no MessagePack value, so no entry
_EVENT_DATA: Final = 7
_STATE_DATA: Final = 4
Row = tuple[Any, ...]


@final
class Offload:
    """Writes large payloads of a batch apart, and removes what nothing names. Belongs to the writer."""

    def __init__(self, above: int | None) -> None:
        """Offload payloads of more than `above` bytes; None only keeps the counts of what was offloaded before."""
        self._above = above
        self._bodies: dict[str, bytes] = {}
        self._counts: Counter[str] = Counter()

    def apply(
        self, db: apsw.Connection, events: list[Row], entries: list[tuple[int, int, bytes]], states: list[Row]
    ) -> tuple[list[Row], list[tuple[int, int, bytes]], list[Row]]:
        """Write what is large, in the transaction under way; answers the rows with references in its place."""
        self._bodies, self._counts = {}, Counter()
        for state in states:
            self._release(db, state[0], state[1])
        if self._above is not None:
            above = self._above
            events = [self._row(row, _EVENT_DATA) if len(row[_EVENT_DATA]) > above else row for row in events]
            entries = [self._entry(row) if len(row[2]) > above else row for row in entries]
            states = [self._row(row, _STATE_DATA) if len(row[_STATE_DATA] or b"") > above else row for row in states]
        self._write(db)
        return events, entries, states

    def collect(self, db: apsw.Connection) -> None:
        """Remove some of what nothing names, in the transaction under way."""
        unused = db.execute(query("unused_blobs"), (COLLECTED_MAX,)).fetchall()
        for name in unused:
            db.execute(query("drop_blob_body"), name)
            db.execute(query("drop_blob"), name)

    def _row(self, row: Row, place: int) -> Row:
        return (*row[:place], self._keep(row[place]), *row[place + 1 :])

    def _entry(self, row: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
        execution, place, body = row
        entry = decode_entry(body)
        above = self._above or 0
        large = {
            field: data
            for field in PAYLOAD_FIELDS
            if isinstance(data := getattr(entry, field, None), bytes) and len(data) > above
        }
        if not large:
            return row
        rest = encode_entry(msgspec.structs.replace(entry, **dict.fromkeys(large, b"")))
        names = {field: self._keep(data) for field, data in large.items()}
        return execution, place, _MARK + msgspec.msgpack.encode((rest, names))

    def _keep(self, data: bytes) -> str:
        name = blake2b(data, digest_size=32).hexdigest()
        self._bodies[name] = data
        self._counts[name] += 1
        return name

    def _release(self, db: apsw.Connection, state: str, key: str) -> None:
        for (name,) in db.execute(query("named_by_state"), (state, key)):
            self._counts[name] -= 1

    def _write(self, db: apsw.Connection) -> None:
        for name, count in self._counts.items():
            if count > 0:
                body = self._bodies[name]
                db.execute(query("count_blob"), (name, len(body), count))
                db.execute(query("put_blob_body"), (name, body))
            elif count < 0:
                db.execute(query("release_blob"), (count, name))


def read_entry(db: apsw.Connection, body: bytes) -> Entry:
    """The journal entry in a row, with what was offloaded of it. Raises StoreUnavailable if that is gone."""
    if body[:1] != _MARK:
        return decode_entry(body)
    rest, names = msgspec.msgpack.decode(body[1:], type=tuple[bytes, dict[str, str]])
    return msgspec.structs.replace(decode_entry(rest), **{field: _body(db, name) for field, name in names.items()})


def _body(db: apsw.Connection, name: str) -> bytes:
    row = db.execute(query("blob_body"), (name,)).fetchone()
    if row is None:
        raise StoreUnavailable(
            f"the store is damaged: the payload {name} is gone\n  why: a journal entry names it, and it is not there\n"
            "  to do: stop the node, restore a backup"
        )
    return bytes(row[0])
