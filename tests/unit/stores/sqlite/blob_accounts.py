"""The accounts of large payloads, checked against every row of a store's file: looked for, not counted."""

from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apsw
import msgspec


def rows(path: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def named(path: Path) -> Counter[str]:
    """The hashes that events, states and journal entries name, and how often."""
    found = Counter[str]()
    sql = "SELECT data FROM onstage_event WHERE typeof(data) = 'text'"
    found.update(name for (name,) in rows(path, sql))
    found.update(name for (name,) in rows(path, sql.replace("onstage_event", "onstage_state")))
    for (body,) in rows(path, "SELECT body FROM onstage_entry"):
        if body[:1] == b"\xc1":
            found.update(msgspec.msgpack.decode(body[1:])[1].values())
    return found


def check_counts(path: Path) -> None:
    """The counts are true, and for each there is the body with that hash."""
    counts = {name: (size, refs) for name, size, refs in rows(path, "SELECT hash, size, refs FROM onstage_blob")}
    bodies = dict(rows(path, "SELECT hash, body FROM onstage_blob_body"))
    assert {name: refs for name, (_, refs) in counts.items() if refs} == named(path)
    assert {name: len(body) for name, body in bodies.items()} == {name: size for name, (size, _) in counts.items()}
    assert all(blake2b(body, digest_size=32).hexdigest() == name for name, body in bodies.items())
