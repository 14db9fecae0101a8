"""The named queries of `queries.sql`, read once, and statements for many rows.

SQLite runs without the interpreter's lock, but only within one statement: row by row, the writer and the loop would
hand the lock to and fro at every row. So many rows go into one statement, `ROWS_AT_ONCE` of them.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import apsw

__all__ = ["insert_many", "migrations", "named_statements", "query", "select_many"]

ROWS_AT_ONCE: Final = 256
_WIDTHS: Final = (4, 32, ROWS_AT_ONCE)
"""How many keys a look-up asks for: few statements to keep prepared, and few places that are filled up in vain."""

_PLACES: Final = re.compile(r"\((\?(?:, \?)*)\)")
_MARK: Final = "-- name: "


def named_statements(text: str) -> dict[str, str]:
    """The statements of a file of named queries, by name and without their comments."""
    found: dict[str, str] = {}
    for block in text.split(_MARK)[1:]:
        name, _, body = block.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[name.strip()] = "\n".join(lines).strip()
    return found


@cache
def _all() -> dict[str, str]:
    return named_statements((files(__package__) / "queries.sql").read_text(encoding="utf-8"))


@cache
def query(name: str) -> str:
    """The statement with this name. Raises KeyError for a name that is not in the file."""
    return _all()[name]


@cache
def _wide(name: str) -> str:
    """The statement for `ROWS_AT_ONCE` rows of values."""
    statement = query(name)
    return _PLACES.sub(lambda places: ",".join([places.group().replace(" ", "")] * ROWS_AT_ONCE), statement, count=1)


@cache
def _of_many(name: str, width: int) -> str:
    """The statement for so many members of `IN (?)`."""
    return query(name).replace("IN (?)", f"IN ({','.join('?' * width)})")


def insert_many(connection: apsw.Connection, name: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run the statement `name`, which has one row of `VALUES (?, ...)`, for all rows in their order."""
    if not rows:
        return
    if len(rows) == 1:  # as it mostly is on a node that is not busy, and half as dear
        connection.execute(query(name), rows[0])
        return
    whole = len(rows) - len(rows) % ROWS_AT_ONCE
    for start in range(0, whole, ROWS_AT_ONCE):
        connection.execute(_wide(name), tuple(chain.from_iterable(rows[start : start + ROWS_AT_ONCE])))
    if whole < len(rows):
        connection.executemany(query(name), rows[whole:])


def select_many(connection: apsw.Connection, name: str, keys: Collection[Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement `name`, which asks for `IN (?)`, finds for all keys, in any order."""
    if len(keys) == 1:
        return connection.execute(query(name), tuple(keys)).fetchall()
    found: list[tuple[Any, ...]] = []
    wanted = list(keys)
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        some = wanted[start : start + ROWS_AT_ONCE]
        width = next(width for width in _WIDTHS if width >= len(some))
        some += some[-1:] * (width - len(some))
        found += connection.execute(_of_many(name, width), some)
    return found


@cache
def migrations() -> list[tuple[int, str]]:
    """The numbered migrations, in order, as (number, script)."""
    folder = files(__package__) / "migrations"
    scripts = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in scripts]
