"""Opening an SQLite file: settings, migrations, the writer's lock, and what a user's transaction may do.

The system's SQLite 3.40 is in the range of the WAL-reset corruption bug (3.7.0 to 3.51.2), so files are opened with
the library that apsw brings along. Only the writer's connection checkpoints; there is no mmap.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apsw

from onstage.errors import NodeRunning, SchemaTooNew, StoreUnavailable
from onstage.stores.sqlite.queries import migrations, query

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BUSY_MS", "Guard", "lock", "migrate", "open_reader", "open_writer", "read_meta", "unlock"]

BUSY_MS: Final = 2_000
CACHE_KIB: Final = 65_536
TRANSACTION_S_MAX: Final = 1.0
_PROGRESS_STEPS: Final = 10_000

_DENIED_IN_TRANSACTION: Final = {
    apsw.SQLITE_TRANSACTION: "commit or rollback",
    apsw.SQLITE_SAVEPOINT: "savepoints",
    apsw.SQLITE_ATTACH: "attach",
    apsw.SQLITE_DETACH: "detach",
    apsw.SQLITE_PRAGMA: "pragmas",
}
_WRITES: Final = {apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE, apsw.SQLITE_DROP_TABLE}


def lock(path: Path) -> int:
    """Take the writer's place on the file: an exclusive lock on a file beside it, freed by the system at death.

    Raises NodeRunning if somebody else has it. Answers the descriptor; give it to `unlock`.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise NodeRunning(
            f"another node (process {holder}) has {path}\n  why: one node writes to an SQLite file at a time\n"
            f"  to do: publish through it with connect(...), or stop it first"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def unlock(descriptor: int) -> None:
    """Give the writer's place back."""
    os.close(descriptor)


def open_writer(path: Path, synchronous: str) -> apsw.Connection:
    """The writer's connection. Raises StoreUnavailable if the file is no database or cannot be opened."""
    try:
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_MS)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA foreign_keys = ON")
    except apsw.Error as error:
        raise _unavailable(path, error) from error
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """A connection that can only read, for queries beside the writer."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_MS)
    except apsw.Error as error:
        raise _unavailable(path, error) from error
    return connection


def _unavailable(path: Path, error: apsw.Error) -> StoreUnavailable:
    return StoreUnavailable(
        f"cannot open {path}\n  why: {error}\n  to do: check the path and its permissions, then `onstage doctor`"
    )


def migrate(connection: apsw.Connection, path: Path) -> None:
    """Bring the file to the newest layout, one numbered migration per transaction. Raises SchemaTooNew."""
    scripts = migrations()
    present = int(connection.pragma("user_version"))
    if present > scripts[-1][0]:
        raise SchemaTooNew(
            f"{path} has layout {present}, this version knows {scripts[-1][0]}\n"
            "  why: a newer Onstage wrote it\n  to do: upgrade onstage on this machine"
        )
    for number, script in scripts:
        if number <= present:
            continue
        connection.execute(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT")


class Guard:
    """What a user's transaction may do on the writer's connection, and for how long.

    One authorizer stays installed: it is asked when a statement is prepared, and refuses only while a transaction
    runs. The engine's own statements carry other texts than a user would write, so none is found in the cache.
    """

    def __init__(self, connection: apsw.Connection, monotonic: Callable[[], float]) -> None:
        """Install on a connection; `monotonic` is the clock of the time limit, in seconds."""
        self._connection = connection
        self._monotonic = monotonic
        self._inside = False
        self._deadline = 0.0
        self._denied = ""
        connection.authorizer = self._authorize

    def run(self, function: Callable[[Any], Any]) -> Any:
        """Run the function in a savepoint of its own: what it did is undone if it raises."""
        connection = self._connection
        connection.execute("SAVEPOINT onstage_user -- engine")
        self._inside, self._denied = True, ""
        self._deadline = self._monotonic() + TRANSACTION_S_MAX
        connection.set_progress_handler(self._overdue, _PROGRESS_STEPS)
        try:
            answer = function(connection)
        except BaseException as error:
            self._leave()
            connection.execute("ROLLBACK TO onstage_user -- engine")
            connection.execute("RELEASE onstage_user -- engine")
            if isinstance(error, apsw.AuthError) and self._denied:
                raise PermissionError(self._denied) from error
            if isinstance(error, apsw.InterruptError):
                raise TimeoutError(
                    f"a transaction took longer than {TRANSACTION_S_MAX:g} s\n  why: everything waits for the writer\n"
                    "  to do: make it shorter, or move the work into a step"
                ) from error
            raise
        self._leave()
        connection.execute("RELEASE onstage_user -- engine")
        return answer

    def _leave(self) -> None:
        self._inside = False
        self._connection.set_progress_handler(None)

    def _overdue(self) -> bool:
        return self._monotonic() > self._deadline

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if not self._inside:
            return apsw.SQLITE_OK
        what = _DENIED_IN_TRANSACTION.get(action)
        if action in _WRITES and (first or "").startswith("onstage_"):
            what = f"writing to {first}"
        if what is None:
            return apsw.SQLITE_OK
        self._denied = (
            f"a transaction may not use {what}\n  why: it runs inside the engine's own commit\n"
            "  to do: work on the service's own tables only"
        )
        return apsw.SQLITE_DENY


def read_meta(connection: apsw.Connection, name: str) -> Any:
    """One value about the store, or None."""
    row = connection.execute(query("get_meta"), (name,)).fetchone()
    return None if row is None else row[0]
