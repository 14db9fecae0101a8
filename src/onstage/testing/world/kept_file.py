"""A file that outlives the worlds on it, and its connections, which outlive the lives of their nodes.

Opening a connection, reading the schema and preparing the statements anew cost more than what a short life of a node
does with them. So a world on a plain disk is given connections that were used before: at a simulated kill what was not
committed is rolled back, and the handle that the dead node holds works no more; that is all that a kill leaves of a
connection as well. Between two worlds the file is emptied. What this leaves out, files that are opened for the first
time, and logs that are read again after a death, happens in the worlds whose disk loses power, and in the tests that
kill OS processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, final

import apsw

from onstage.stores.sqlite import connection as files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["IN_ONE_PROCESS", "Handle", "KeptFile"]

IN_ONE_PROCESS: Final = "unix-excl"
"""The VFS of a file that one process only has: the log's index need not be shared."""

WRITERS: Final = 3
"""As many as have a file open at once: a node that was taken for dead, its successor, and the latter once more when it
opens the file anew.
"""

READERS: Final = 4
"""Those of both nodes, and the onlooker's, who opens the file anew before it lets go of it."""

TABLES: Final = "select name from sqlite_master where type = 'table'"


@final
class _Kept:
    """A connection that stays open. Its authorizer is installed once, since each change lets its statements expire."""

    def __init__(self, connection: apsw.Connection, free: list[_Kept]) -> None:
        self.connection = connection
        self.free = free
        self.authorize: Callable[..., int] | None = None
        connection.authorizer = self._ask

    def _ask(self, *what: Any) -> int:
        return apsw.SQLITE_OK if self.authorize is None else self.authorize(*what)

    def give_back(self) -> None:
        connection = self.connection
        self.authorize = None
        connection.set_progress_handler(None)
        if connection.in_transaction:
            connection.execute("ROLLBACK -- kept")
        self.free.append(self)


@final
class Handle:
    """A kept connection in the hands of one node. Once it is closed, it works no more."""

    __slots__ = ("_kept", "execute", "executemany")

    def __init__(self, kept: _Kept) -> None:
        """Around a connection that nobody else has."""
        self._kept: _Kept | None
        self._hold(kept, kept.connection.execute, kept.connection.executemany)

    def _hold(self, kept: _Kept | None, execute: Any, executemany: Any) -> None:
        object.__setattr__(self, "_kept", kept)
        object.__setattr__(self, "execute", execute)
        object.__setattr__(self, "executemany", executemany)

    def _connection(self) -> apsw.Connection:
        if self._kept is None:
            raise apsw.ConnectionClosedError("the connection has been closed")
        return self._kept.connection

    # What is asked for often: quicker than by `__getattr__`.

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun."""
        return self._connection().in_transaction

    def cursor(self) -> apsw.Cursor:
        """A cursor of the kept connection."""
        return self._connection().cursor()

    def set_progress_handler(self, *handler: Any) -> None:
        """Who is asked now and then whether a statement may go on."""
        self._connection().set_progress_handler(*handler)

    def _closed(self, *_: Any) -> Any:
        return self._connection()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        connection = self._connection()
        if name == "authorizer":
            assert self._kept is not None, "an open handle has its connection"
            self._kept.authorize = value
            return
        setattr(connection, name, value)

    def __enter__(self) -> Self:
        self._connection().__enter__()
        return self

    def __exit__(self, *raised: object) -> Any:
        return self._connection().__exit__(*raised)  # type: ignore[arg-type]

    def close(self, *_: object) -> None:
        """Give the connection back. Whatever the handle is asked for from now on raises ConnectionClosedError."""
        kept = self._kept
        if kept is not None:
            self._hold(None, self._closed, self._closed)
            kept.give_back()


@final
class KeptFile:
    """A migrated file without rows, and open connections to it. Stands in for `stores.sqlite.connection`."""

    def __init__(self, path: Path) -> None:
        """Make the file."""
        self.path = path
        self._writers: list[_Kept] = []
        self._readers: list[_Kept] = []
        for _ in range(WRITERS):
            writer = files.open_writer(path, "OFF", IN_ONE_PROCESS)
            files.migrate(writer, path)
            writer.execute(TABLES).fetchall()  # the log is opened with the first query
            self._writers.append(_Kept(writer, self._writers))
        for _ in range(READERS):
            reader = files.open_reader(path, IN_ONE_PROCESS)
            reader.execute(TABLES).fetchall()
            self._readers.append(_Kept(reader, self._readers))

    def open_writer(self, path: Path, synchronous: str, vfs: str | None = None) -> Any:
        """A connection for the writer: a kept one, if one is free."""
        return Handle(self._writers.pop()) if self._writers else files.open_writer(path, synchronous, vfs)

    def open_reader(self, path: Path, vfs: str | None = None) -> Any:
        """A connection that can only read: a kept one, if one is free."""
        return Handle(self._readers.pop()) if self._readers else files.open_reader(path, vfs)

    @property
    def lent(self) -> int:
        """How many of its connections somebody still has."""
        return WRITERS - len(self._writers) + READERS - len(self._readers)

    def empty(self) -> None:
        """Delete all rows and shorten the log: the next world finds the file as the first one did."""
        connection = self._writers[-1].connection
        with connection:
            for (name,) in connection.execute(TABLES).fetchall():
                connection.execute(f'DELETE FROM "{name}"')  # noqa: S608  a table's own name
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)

    def close(self) -> None:
        """Close all connections that are there."""
        for kept in (*self._readers, *self._writers):
            kept.connection.close(True)
