"""The store's file as the command line looks at it: read-only, with or without a running node."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import apsw

from onstage.core.identity import Identity
from onstage.errors import OperationError, SchemaTooNew
from onstage.ports.store import EventView, ExecutionView
from onstage.reading.failure import Exit, Failure
from onstage.runtime.remote_door import call_when_running
from onstage.runtime.watch import verdict_of
from onstage.stores.sqlite.connection import kind_of, open_reader, read_meta
from onstage.stores.sqlite.queries import migrations, named_statements, query
from onstage.stores.sqlite.reader import SqliteReader

if TYPE_CHECKING:
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import Reader

__all__ = [
    "HOLDS",
    "Counts",
    "StoreFile",
    "lock_holder",
    "looking_at",
    "newest_layout",
    "opened",
    "refuse_view",
    "standing",
    "verdict_from",
]


HOLDS: Final = {
    "whole": "whole processes",
    "part": "one service's part of each process",
    "view": "what an observer has seen; deleted, it is made again from the broker's log",
}
"""What a store of each kind holds, in words."""


class Counts(NamedTuple):
    """How many processes, how many of them open, and how many executions are set aside."""

    processes: int
    open: int
    set_aside: int


@final
class StoreFile:
    """A store's file, opened for reading only. `reader` reads as the node's own reader does."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        """Made by `looking_at`."""
        self.path = path
        self.connection = connection
        self.reader: Reader = SqliteReader(connection)

    @property
    def kind(self) -> str:
        """What it holds: "whole" processes, one service's "part" of them, or an observer's "view"."""
        return kind_of(self.connection)

    def rows(self, name: str, **bindings: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement of `store_file.sql`."""
        return self.connection.execute(_statements()[name], bindings).fetchall()

    def counts(self) -> Counts:
        """The totals."""
        return Counts(*self.rows("counts")[0])

    def newest_events(self, *, type: str | None, limit: int) -> list[EventView]:
        """The newest events, in the order of the log."""
        return [EventView(*row) for row in reversed(self.rows("newest_events", type=type, limit=limit))]

    async def set_aside(
        self, *, handler: str | None = None, key: str | None = None, error: str | None = None, limit: int
    ) -> list[ExecutionView]:
        """Dead letters and diverged executions, the oldest first; `key` is that of process or event, `error` a part."""
        rows = self.rows("set_aside", handler=handler, key=key, error=error, limit=limit)
        return await self._executions(row[0] for row in rows)

    async def timers(self, *, limit: int) -> list[ExecutionView]:
        """What is due, the next first."""
        return await self._executions(row[0] for row in self.rows("timers", limit=limit))

    async def _executions(self, numbers: Iterator[int]) -> list[ExecutionView]:
        stored = [await self.reader.execution(number) for number in numbers]
        return [each.execution for each in stored if each is not None]

    def identity(self) -> Identity:
        """Translates between event numbers and public ids."""
        incarnations = tuple((first, name) for _, name, first in self.connection.execute(query("incarnations")))
        return Identity(str(read_meta(self.connection, "store")), incarnations)

    def layout(self) -> int:
        """The number of the newest migration that was applied."""
        return int(self.connection.pragma("user_version"))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close(True)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")


def opened(path: Path) -> StoreFile:
    """Open a store's file for reading; `close` it. Raises Failure (unreachable) if there is none, or something else."""
    if not path.exists():
        raise Failure(
            f"there is no store at {path}",
            "no node has run on it yet, or it lies elsewhere",
            "start one with `onstage run`, or name the store with --store sqlite:///PATH",
            code=Exit.UNREACHABLE,
        )
    connection = open_reader(path)
    try:
        _check_layout(path, connection)
    except BaseException:
        connection.close(True)
        raise
    return StoreFile(path, connection)


@contextmanager
def looking_at(path: Path) -> Iterator[StoreFile]:
    """Open a store's file for reading, as `opened` does, and close it."""
    store = opened(path)
    try:
        yield store
    finally:
        store.close()


def refuse_view(path: Path) -> None:
    """Refuse to emit into an observer's store, whether or not an observer has it. Raises Failure (usage)."""
    if not path.exists():
        return
    with looking_at(path) as store:
        if store.kind == "view":
            raise Failure(
                f"{path} is an observer's store",
                "it shows what services did, and nothing runs on it",
                "name the store of a service with --store",
                code=Exit.USAGE,
            )


def standing(store: StoreFile) -> str | None:
    """What whoever looks at a store has to know: that it is a part, or that nobody writes to it at present."""
    holder = lock_holder(store.path)
    if store.kind == "view":
        return None if holder is not None else "no observer writes to this store: it shows what was seen so far"
    if holder is None and store.counts().open:
        return "no node runs on this store: nothing moves until `onstage run`"
    if store.kind == "part":
        return "this store has one service's part of each process; the whole is in an observer's (`onstage observe`)"
    return None


def newest_layout() -> int:
    """The layout that this installation writes."""
    return migrations()[-1][0]


def _check_layout(path: Path, connection: apsw.Connection) -> None:
    try:
        present = int(connection.pragma("user_version"))
        is_store = connection.table_exists("main", "onstage_meta")
    except apsw.Error as error:
        mend = "check the path and its permissions; a reader needs the -wal and -shm files beside it too"
        raise Failure(f"cannot read {path}", str(error), mend, code=Exit.UNREACHABLE) from error
    if present > newest_layout():
        raise SchemaTooNew(
            f"{path} has layout {present}, this version knows {newest_layout()}\n"
            "  why: a newer Onstage wrote it\n  to do: upgrade onstage on this machine"
        )
    if not is_store:
        why = "it is a database, but it has no tables of Onstage"
        raise Failure(f"{path} is no store", why, "name another with --store", code=Exit.UNREACHABLE)
    if present < newest_layout():
        why = f"it has layout {present}, this version reads {newest_layout()}"
        raise Failure(f"{path} is of an older version", why, "run `onstage db migrate`", code=Exit.UNREACHABLE)


@cache
def _statements() -> dict[str, str]:
    return named_statements((files("onstage.reading") / "store_file.sql").read_text(encoding="utf-8"))


def lock_holder(path: Path) -> int | None:
    """The OS process that has the writer's place on a store; None if nobody has, 0 if it cannot be told."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        return int(holder) if holder.isdecimal() else 0
    finally:
        os.close(descriptor)
    return None


async def verdict_from(store: StoreFile, process: int) -> Verdict | None:
    """The verdict on a process: the running node's, which knows what handlers are alive; else what the file says."""
    row = await store.reader.process(process)
    remote = await call_when_running(store.path) if row is not None and row.open else None
    if row is None or remote is None:
        return await verdict_of(store.reader, process)
    try:
        return await remote.verdict(row.wire_id, 0)
    except (LookupError, OperationError):  # a part asks an observer, and there may be none
        return await verdict_of(store.reader, process)
    finally:
        await remote.close()
