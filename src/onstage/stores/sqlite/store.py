"""The SQLite store: the file behind a node, opened by one writer at a time."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, final

import apsw

from onstage.errors import NodeRunning
from onstage.ports.store import Features, Opened, payload_bytes_max
from onstage.stores.names import check_count, renames, retired, undoing_numbers
from onstage.stores.sqlite import connection as files
from onstage.stores.sqlite.offload import Offload
from onstage.stores.sqlite.queries import query
from onstage.stores.sqlite.reader import SqliteReader
from onstage.stores.sqlite.writer import Writer
from onstage.stores.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onstage.core.commit import Commit
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome, Declaration
    from onstage.ports.workers import Workers

__all__ = ["LOCK_WAIT_S_MAX", "Opener", "SqliteStore"]

LOCK_WAIT_S_MAX: Final = 5.0
_POLL_S: Final = 0.05
_SYNCHRONOUS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")


class Opener(Protocol):
    """Opens connections to a file, as `stores.sqlite.connection` does."""

    def open_writer(self, path: Path, synchronous: str, vfs: str | None = None) -> apsw.Connection:
        """The writer's connection."""
        ...

    def open_reader(self, path: Path, vfs: str | None = None) -> apsw.Connection:
        """A connection that can only read."""
        ...


@final
class SqliteStore:
    """One SQLite file. `synchronous` FULL keeps every promise; NORMAL may lose the last commits at a power cut."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        workers: Workers,
        synchronous: str = "FULL",
        lock_wait_s: float = LOCK_WAIT_S_MAX,
        probe: Callable[[str], None] | None = None,
        vfs: str | None = None,
        opener: Opener = files,
        offload_above: int | None = None,
    ) -> None:
        """Name the file; nothing is opened before `open`. `vfs` names a registered SQLite VFS, for tests of faults.

        Payloads of more than `offload_above` bytes are kept apart from their rows, each content once.
        """
        self.path = path
        self.on_batch: Callable[[BatchOutcome], None] = lambda _: None
        self._clock = clock
        self._workers = workers
        self._synchronous = synchronous
        self._lock_wait_s = lock_wait_s
        self._probe = probe
        self._vfs = vfs
        self._opener = opener
        self._offload_above = offload_above
        self.features = Features(
            transactions=True,
            survives_restart=True,
            reads_from_other_processes=True,
            payload_bytes_max=payload_bytes_max(offload_above),
        )
        self._lock: int | None = None
        self._writer: Writer | None = None
        self.reader: SqliteReader
        self._window = Window(self._hand_over)
        self.append: Callable[[Commit], int] = self._window.append
        self.flush: Callable[[], None] = self._window.flush
        self.durable = self._window.durable

    # Opening.

    async def open(self, declaration: Declaration) -> Opened:
        """Migrate, take the writer's place, record a new incarnation and intern names."""
        await self._take_lock()
        try:
            loop = asyncio.get_running_loop()
            writer = self._writer = Writer(
                lambda: self._opener.open_writer(self.path, self._synchronous, self._vfs),
                self._workers,
                self._on_batch,
                monotonic=loop.time,
                probe=self._probe,
            )
            opened = self._begin(writer, declaration)
            self.reader = SqliteReader(self._opener.open_reader(self.path, self._vfs))
        except apsw.Error as error:
            self._release()
            raise files.unavailable(self.path, error) from error
        except BaseException:
            self._release()
            raise
        return opened

    async def _take_lock(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._lock_wait_s
        while True:
            try:
                self._lock = files.lock(self.path)
            except NodeRunning:
                if loop.time() >= give_up:
                    raise
                await asyncio.sleep(_POLL_S)
                continue
            return

    def _begin(self, writer: Writer, declaration: Declaration) -> Opened:
        db = writer.connection
        files.migrate(db, self.path)
        with db:
            now = self._clock.now_ms()
            store = files.read_meta(db, "store")
            if store is None:
                store = self._clock.token(5).hex()
                db.execute(query("set_meta"), ("store", store))
            db.execute(query("put_meta"), ("synchronous", _SYNCHRONOUS[db.pragma("synchronous")]))
            highest = cast("tuple[int]", db.execute(query("high_water")).fetchone())[0]
            hlc = files.read_meta(db, "hlc") or 0
            earlier: list[Any] = db.execute(query("incarnations")).fetchall()
            files.check_part(db, self.path, _kind(declaration), has_events=highest > 0)
            epoch = (earlier[-1][0] if earlier else 0) + 1
            # The number continues behind everything that was ever handed out on this file, as far as it is known.
            first = max([highest + 1, *(row[2] for row in earlier)])
            incarnation = self._clock.token(5).hex()
            db.execute(query("insert_incarnation"), (epoch, incarnation, first, now))
            topology = _topology(db, declaration, now)
            types = _intern_types(db, declaration)
            handlers, retired = _intern_handlers(db, declaration)
            for script in declaration.tables:
                db.execute(script).fetchall()
        if self._offload_above is not None or db.execute(query("any_blob")).fetchone() is not None:
            writer.offload = Offload(self._offload_above)
        writer.epoch, writer.incarnation, writer.partial = epoch, incarnation, declaration.partial
        writer.outcomes = {
            process: {types[key]: key[0] for key in types if key[0] in names}
            for process, names in declaration.outcomes.items()
        }
        writer.undoing = undoing_numbers(declaration, types)
        incarnations = (*((row[2], row[1]) for row in earlier), (first, incarnation))
        return Opened(store, incarnations, first, hlc, epoch, topology, types, handlers, retired)

    # Running.

    @property
    def undurable(self) -> int:
        """How many commits are appended and not yet durable."""
        return self._window.undurable

    @property
    def appended(self) -> int:
        """The position of the newest commit."""
        return self._window.appended

    @property
    def trouble(self) -> str | None:
        """What keeps the writer from writing at present: what, why, what to do."""
        return self._writer.trouble if self._writer else None

    def statistics(self) -> Mapping[str, int]:
        """Counters since the start. Each batch is one transaction and one fsync of the log."""
        writer = self._writer
        if writer is None:
            return {"batches": 0, "commits": 0, "refused": 0}
        return {"batches": writer.batches, "commits": writer.commits, "refused": writer.refused}

    def _hand_over(self, commits: list[Commit]) -> None:
        assert self._writer is not None, "nothing is appended before `open`"
        self._writer.hand_over(commits)

    def _on_batch(self, outcome: BatchOutcome) -> None:
        if self._window.closed is not None:
            return
        self._window.settle(outcome)
        self.on_batch(outcome)

    # Closing.

    async def close(self) -> None:
        """Write what was appended unless the store is in trouble, then close and free the file."""
        if self._lock is None:
            return
        self.flush()
        await self._last_batch()
        self._window.close("the store was closed")
        self._release()

    async def _last_batch(self) -> None:
        # Trouble may come while we wait, and then nobody knows how long it stays.
        last = asyncio.ensure_future(self._window.durable(self._window.appended))
        while not last.done() and self.trouble is None:
            await asyncio.wait([last], timeout=_POLL_S)
        last.cancel()
        await asyncio.wait([last])
        if not last.cancelled():
            last.exception()  # a refusal is an answer too

    def abandon(self) -> None:
        """Let go of the file as a killed process would: nothing more is written. For simulated crashes."""
        self._window.close("the node was killed")
        self._release()

    def _release(self) -> None:
        if hasattr(self, "reader"):
            self.reader.close()
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            files.unlock(self._lock)
            self._lock = None


def _kind(declaration: Declaration) -> str:
    if declaration.is_view:
        return "view"
    return "part" if declaration.partial else "whole"


def _topology(db: apsw.Connection, declaration: Declaration, now_ms: int) -> int:
    digest = blake2b(declaration.manifest, digest_size=16).hexdigest()
    newest = db.execute(query("newest_topology")).fetchone()
    if newest is not None and newest[1] == digest:
        return int(newest[0])
    epoch = int(newest[0]) + 1 if newest else 1
    db.execute(query("insert_topology"), (epoch, digest, declaration.manifest, now_ms))
    return epoch


def _intern_types(db: apsw.Connection, declaration: Declaration) -> dict[tuple[str, int], int]:
    known = {(name, version): number for number, name, version in db.execute(query("types"))}
    for key in declaration.types:
        if key not in known:
            db.execute(query("insert_type"), key)
            known[key] = db.last_insert_rowid()
    return known


def _intern_handlers(db: apsw.Connection, declaration: Declaration) -> tuple[dict[str, int], dict[int, str]]:
    known: dict[str, int] = {name: number for number, name in db.execute(query("handlers"))}
    for old, new in renames(known, declaration.handlers):
        known[new] = known.pop(old)
        db.execute(query("rename_handler"), (new, known[new]))
    for name, _ in declaration.handlers:
        if name in known:
            continue
        db.execute(query("insert_handler"), (name,))
        known[name] = db.last_insert_rowid()
    check_count(known)
    return known, retired(known, declaration.handlers)
