"""`onstage sql`: questions to the store in SQL, on a connection that can do nothing but read."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any, Final

import apsw
import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import note, print_json, print_table
from onstage.reading.store_file import looking_at

__all__ = ["command", "run_query"]

_ALLOWED: Final = {apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_RECURSIVE}
_PRAGMAS: Final = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "user_version"}
_FORBIDDEN_FUNCTIONS: Final = {"load_extension", "writefile", "edit"}
_PROGRESS_STEPS: Final = 100_000


@click.command("sql", short_help="Ask the store with SQL; it can only read.")
@click.argument("query")
@limit_option(1000)
@surroundings
def command(at: Surroundings, *, query: str, limit: int) -> None:
    """Run one SELECT on the store. `-` reads it from stdin. The tables: select name from sqlite_schema."""
    text = sys.stdin.read() if query == "-" else query
    with looking_at(at.path()) as store:
        columns, rows = run_query(store.connection, text, limit + 1)
    if at.is_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows[:limit]])
    elif columns:
        print_table(columns, rows[:limit])
    if len(rows) > limit:
        note(f"only the first {limit:,} rows are shown; --limit shows more")


def run_query(connection: apsw.Connection, text: str, limit: int) -> tuple[list[str], list[list[Any]]]:
    """The columns and at most `limit` rows of a query. Raises Failure (usage) for anything that is no question."""
    denied: list[str] = []

    def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action in _ALLOWED or (action == apsw.SQLITE_PRAGMA and first in _PRAGMAS and second != "0"):
            return apsw.SQLITE_OK
        if action == apsw.SQLITE_FUNCTION and second not in _FORBIDDEN_FUNCTIONS:
            return apsw.SQLITE_OK
        denied.append(str(apsw.mapping_authorizer_function[action]).removeprefix("SQLITE_").lower().replace("_", " "))
        return apsw.SQLITE_DENY

    connection.authorizer = authorize
    connection.set_progress_handler(lambda: False, _PROGRESS_STEPS)  # gives Ctrl-C a chance
    try:
        cursor = connection.execute(text)
        columns = [column[0] for column in cursor.get_description()] if cursor.is_readonly else []
        return columns, [list(map(_shown, row)) for row in islice(cursor, limit)]
    except apsw.ExecutionCompleteError:
        return [], []
    except apsw.Error as error:
        raise _refused(error, denied) from error
    finally:
        connection.authorizer = None


def _refused(error: apsw.Error, denied: list[str]) -> Failure:
    if denied or isinstance(error, apsw.ReadOnlyError | apsw.AuthError):
        why = f"it asks for {denied[0] if denied else 'a change'}, and this connection can only read"
        mend = "ask with SELECT; what changes a store is `onstage emit`, `dead` and `db`"
        return Failure("the statement is refused", why, mend, code=Exit.USAGE)
    mend = 'correct it; `onstage sql "select name from sqlite_schema"` lists the tables'
    return Failure("the statement cannot be run", str(error), mend, code=Exit.USAGE)


def _shown(value: Any) -> Any:
    """Payloads are JSON in blobs: shown as text if they are text."""
    if not isinstance(value, bytes):
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"x'{value.hex()}'"
    return text if text.isprintable() else f"x'{value.hex()}'"
