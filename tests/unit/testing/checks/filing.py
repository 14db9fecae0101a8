"""A store's file with rows of one's own, and looks at it."""

from pathlib import Path
from typing import Any

import apsw

from onstage.core.journal import Entry, encode_entry
from onstage.events.receipt import Receipt, Status, encode_receipts
from onstage.stores.sqlite.connection import migrate
from onstage.testing.checks.stored_file import StoredFile

HANDLER = 1
EMPTY = bytes(16)


class File:
    """One file. What is put into it is seen by the next `look`."""

    def __init__(self, folder: Path) -> None:
        path = folder / "checked.db"
        self.connection = apsw.Connection(str(path))
        migrate(self.connection, path)
        self.do("insert into onstage_meta values ('store', 'st')")
        self.do("insert into onstage_incarnation values (1, 'i', 1, 0)")
        self.do("insert into onstage_type values (1, 'a.b', 1), (2, 'a.end', 1)")
        self.do("insert into onstage_handler values (1, 'shop.take'), (2, 'shop.wait')")

    def do(self, sql: str, *bindings: Any) -> list[Any]:
        return self.connection.execute(sql, bindings).fetchall()

    def event(self, n: int, *, type: int = 1, process: int = 0, cause: int = 0, hlc: int = 0) -> None:
        row = (n, process or n, type, "k", cause, hlc or n, 1, b"{}", None)
        self.do("insert into onstage_event values (?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)

    def execution(self, n: int, status: Status, *entries: Entry, process: int = 0, **more: Any) -> int:
        x = n << 16 | more.pop("handler", HANDLER)
        length, due, waits = more.get("length", len(entries)), more.get("due"), more.get("waits")
        row = (x, process or n, int(status), 1, 0, length, 1, 0, due, 0, 0, 0, waits, None)
        self.do("insert into onstage_execution values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)
        for place, entry in enumerate(entries):
            self.do("insert into onstage_entry values (?, ?, ?)", x, place, encode_entry(entry))
        return x

    def process(self, n: int, *, is_open: int = 0, digest: bytes = EMPTY, **more: Any) -> None:
        ended = more.get("ended", None if is_open else 9)
        row = (n, f"p{n}", more.get("declared"), "k", digest, is_open, more.get("outcome"), 0, ended)
        self.do("insert into onstage_process values (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", *row)

    def receipts(self, *receipts: Receipt, epoch: int = 1, seq: int = 1) -> None:
        self.do(
            "insert into onstage_receipt (epoch, shard, seq, count, body) values (?, 1, ?, ?, ?)",
            *(epoch, seq, len(receipts), encode_receipts(receipts)),
        )

    def rows(self, sql: str, *bindings: Any) -> list[tuple[Any, ...]]:
        return self.do(sql, *bindings)

    def look(self) -> StoredFile:
        return StoredFile(self.rows)


def settled(n: int, status: Status = Status.DONE, *, outputs: tuple[tuple[int, int], ...] = ()) -> Receipt:
    return Receipt(n, n, HANDLER, 0, int(status), 1, EMPTY, outputs)
