"""Opening an SQLite file: settings, migrations, the writer's lock, and what a user's transaction may do.

The system's SQLite 3.40 is in the range of the WAL-reset corruption bug (3.7.0 to 3.51.2), so files are opened with
the library that apsw brings along. Only the writer's connection checkpoints; there is no mmap.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from weakref import ref

import apsw

from onstage.errors import NodeRunning, SchemaTooNew, StoreUnavailable
from onstage.stores.sqlite.queries import migrations, query

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BUSY_MS",
    "TRANSACTION_S_MAX",
    "Guard",
    "check_part",
    "kind_of",
    "lock",
    "migrate",
    "open_reader",
    "open_writer",
    "read_meta",
    "unavailable",
    "unlock",
]

BUSY_MS: Final = 2_000
CACHE_KIB: Final = 65_536
STATEMENTS: Final = 512  # the most that apsw allows
"""A prepared statement is kept for so many executions of others: the rare ones would not outlast apsw's own 100."""

CURSORS: Final = 64
TRANSACTION_S_MAX: Final = 1.0
_CHUNK_BYTES: Final = 1 << 16  # the unix VFS writes no more than 128 KiB in one go
_PROGRESS_STEPS: Final = 10_000

_DENIED_IN_TRANSACTION: Final = {
    apsw.SQLITE_TRANSACTION: "commit or rollback",
    apsw.SQLITE_SAVEPOINT: "savepoints",
    apsw.SQLITE_ATTACH: "attach",
    apsw.SQLITE_DETACH: "detach",
    apsw.SQLITE_PRAGMA: "pragmas",
}
# What changes a table, and which argument of the authorizer names that table.
_WRITES: Final = {
    apsw.SQLITE_INSERT: 0,
    apsw.SQLITE_UPDATE: 0,
    apsw.SQLITE_DELETE: 0,
    apsw.SQLITE_CREATE_TABLE: 0,
    apsw.SQLITE_DROP_TABLE: 0,
    apsw.SQLITE_ALTER_TABLE: 1,
    apsw.SQLITE_CREATE_INDEX: 1,
    apsw.SQLITE_DROP_INDEX: 1,
    apsw.SQLITE_CREATE_TRIGGER: 1,
    apsw.SQLITE_CREATE_TEMP_TRIGGER: 1,
    apsw.SQLITE_DROP_TRIGGER: 1,
}
_NEW_FILE: Final = "give the observer a file of its own, such as --store sqlite:///view.db"
_KINDS: Final = {
    "whole": (
        "whole processes",
        "it was run without a broker, so all its events are handled in it",
        {"part": "give the service that has a broker a new file", "view": _NEW_FILE},
    ),
    "part": (
        "one service of several",
        "it was run with a broker, and others handle its events too",
        {"whole": "run it with `onstage run -s SERVICE --broker nats://...`", "view": _NEW_FILE},
    ),
    "view": (
        "what an observer has seen",
        "it can be read by anybody, but nothing runs on it",
        {
            "whole": "name the store of a service, or look at this one with `onstage ps` and `onstage show`",
            "part": "give the service a file of its own",
        },
    ),
}
_HELD: Final[set[int]] = set()
log = logging.getLogger("onstage.store")


def lock(path: Path) -> int:
    """Take the writer's place on the file: an exclusive lock on a file beside it, freed by the system at death.

    Raises NodeRunning if somebody else has it, StoreUnavailable if there is no place for it. Answers the descriptor;
    give it to `unlock`.
    """
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unavailable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise NodeRunning(
            f"another node (process {holder}) has {path}\n  why: one node writes to an SQLite file at a time\n"
            f"  to do: publish through it with connect(...), or stop it first"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise unavailable(path, error) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    _HELD.add(descriptor)
    return descriptor


def unlock(descriptor: int) -> None:
    """Give the writer's place back."""
    if descriptor in _HELD:
        _HELD.remove(descriptor)
        os.close(descriptor)


def _forget_locks_of_parent() -> None:
    """A forked child shares the lock: its copy would keep the file locked when the node has ended."""
    while _HELD:
        os.close(_HELD.pop())


os.register_at_fork(after_in_child=_forget_locks_of_parent)


def open_writer(path: Path, synchronous: str, vfs: str | None = None) -> apsw.Connection:
    """The writer's connection, through the VFS of that name or SQLite's own.

    Raises StoreUnavailable if the file is no database or cannot be opened.
    """
    try:
        connection = apsw.Connection(str(path), vfs=vfs, statementcachesize=STATEMENTS)
        connection.set_busy_timeout(BUSY_MS)
        # Closing would bring to the file what stands in a log that could not be written once more.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        # EXTRA syncs the directory when the rollback journal of a new file goes: one that came back after a power cut
        # would undo everything since.
        connection.execute("PRAGMA synchronous = EXTRA")
        if connection.pragma("journal_mode", "wal") != "wal":
            raise apsw.CantOpenError("this place has no write-ahead log; a network file system cannot hold a store")
        connection.transaction_mode = "IMMEDIATE"
        if synchronous != "OFF":
            with connection:  # nobody else writes to the log meanwhile
                _renew_log(f"{path}-wal", vfs)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA foreign_keys = ON")
    except apsw.Error as error:
        raise unavailable(path, error) from error
    return connection


def _renew_log(log: str, vfs: str | None) -> None:
    """Write what stands in the write-ahead log once more, byte for byte, and sync it.

    When a sync fails, the system takes what it could not write for clean: reads see it, later syncs skip it. A process
    that begins after one that died of that would take such frames for durable, and build on them.
    """
    if not Path(log).exists():
        return
    file = apsw.VFSFile(vfs or "", log, [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0])
    try:
        size = file.xFileSize()
        for offset in range(0, size, _CHUNK_BYTES):
            file.xWrite(file.xRead(min(_CHUNK_BYTES, size - offset), offset), offset)
        if size:
            file.xSync(apsw.SQLITE_SYNC_NORMAL)
    finally:
        file.xClose()


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that can only read, for queries beside the writer; through the VFS of that name or SQLite's own."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs, statementcachesize=STATEMENTS)
        connection.set_busy_timeout(BUSY_MS)
        # Without this a statement is prepared anew for nearly every value that is bound, in search of a better plan.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    except apsw.Error as error:
        raise unavailable(path, error) from error
    return connection


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """What to tell the operator when the file cannot be opened."""
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
        connection.execute(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT -- engine")


@final
class Session:
    """The connection as a user's transaction sees it: `execute`, for as long as the transaction runs."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Begin on the writer's connection."""
        self._connection: apsw.Connection | None = connection
        self._cursors: list[ref[apsw.Cursor]] = []
        self._cursors_max = CURSORS

    def execute(self, sql: str, bindings: Any = None, /) -> apsw.Cursor:
        """Run one statement; iterate for its rows. Raises PermissionError when the transaction is over."""
        if self._connection is None or not self._connection.in_transaction:
            raise PermissionError(_OVER)
        cursor = self._connection.cursor()
        self._cursors.append(ref(cursor))
        if len(self._cursors) > self._cursors_max:
            self._cursors = [known for known in self._cursors if known() is not None]
            self._cursors_max = 2 * len(self._cursors) + CURSORS
        return cursor.execute(sql, bindings)

    def end(self) -> None:
        """Close what is still open: a half-read statement, kept alive by a traceback, would block the commit."""
        self._connection = None
        for known in self._cursors:
            if (cursor := known()) is not None:
                cursor.close(True)


_TOO_LONG: Final = (
    f"a transaction took longer than {TRANSACTION_S_MAX:g} s\n  why: everything waits for the writer\n"
    "  to do: make it shorter, or move the work into a step"
)
_OVER: Final = (
    "the transaction is over, nothing more can be written in it\n  why: its function returned, or one of its "
    "statements rolled it back (a time limit, OR ROLLBACK)\n  to do: use the connection only inside the function"
)


@final
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
        """Run the function in a savepoint of its own: what it did is undone if it raises.

        Some failures undo the whole transaction around it (an interrupted write, a full disk, OR ROLLBACK); then
        the connection is `in_transaction` no more, and whoever began that transaction must begin again.
        """
        connection = self._connection
        connection.execute("SAVEPOINT onstage_user -- engine")
        session = Session(connection)
        self._inside, self._denied = True, ""
        self._deadline = self._monotonic() + TRANSACTION_S_MAX
        connection.set_progress_handler(self._overdue, _PROGRESS_STEPS)
        try:
            answer = function(session)
            self._check()
        except BaseException as error:
            self._leave(session)
            if connection.in_transaction:
                connection.execute("ROLLBACK TO onstage_user -- engine")
                connection.execute("RELEASE onstage_user -- engine")
            meaning = self._meaning(error)
            if meaning is error:
                raise
            raise meaning from error
        self._leave(session)
        connection.execute("RELEASE onstage_user -- engine")
        return answer

    def _check(self) -> None:
        if not self._connection.in_transaction:
            raise PermissionError(_OVER)
        if self._overdue():
            raise TimeoutError(_TOO_LONG)

    def _meaning(self, error: BaseException) -> BaseException:
        if isinstance(error, apsw.AuthError) and self._denied:
            return PermissionError(self._denied)
        if isinstance(error, apsw.InterruptError):
            return TimeoutError(_TOO_LONG)
        if isinstance(error, Exception | KeyboardInterrupt):
            return error
        return RuntimeError(f"a transaction raised {type(error).__name__}, which ends more than itself")

    def _leave(self, session: Session) -> None:
        self._inside = False
        self._connection.set_progress_handler(None)
        session.end()

    def _overdue(self) -> bool:
        return self._monotonic() > self._deadline

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if not self._inside:
            return apsw.SQLITE_OK
        what = _DENIED_IN_TRANSACTION.get(action)
        table = (first, second)[_WRITES[action]] if action in _WRITES else None
        if table is not None and table.lower().startswith("onstage_"):
            what = f"writing to {table}"
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


def check_part(connection: apsw.Connection, path: Path, kind: str, *, has_events: bool) -> None:
    """Refuse to open a store as another kind than it is: "whole", "part" or "view". Raises StoreUnavailable."""
    known = kind_of(connection)
    if kind == known:
        return
    if known != "whole" or has_events:
        what, why, mend = _KINDS[known]
        raise StoreUnavailable(f"{path} holds {what}\n  why: {why}\n  to do: {mend[kind]}")
    connection.execute(query("put_meta"), ("partial", kind))


def kind_of(connection: apsw.Connection) -> str:
    """What a store holds: "whole" processes, one service's "part" of them, or the "view" of an observer."""
    return str(read_meta(connection, "partial") or "whole")


def hosted_on(path: Path) -> frozenset[str] | None:
    """The services that run on the file while others run elsewhere; None if it holds whole processes, or nothing."""
    try:
        connection = open_reader(path)
    except StoreUnavailable:
        return None
    try:
        row = connection.execute(query("notes"), {"topic": "hosted", "after": -1, "limit": 1}).fetchone()
    except apsw.SQLError:
        return None  # of an earlier layout
    finally:
        connection.close(True)
    return None if row is None else frozenset(bytes(row[2]).decode().split(","))
