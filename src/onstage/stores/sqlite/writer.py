"""The writer: takes what is queued, works it out as one batch, writes it in one transaction, one fsync.

What can go wrong, and what happens then:

* a commit is refused: it and what follows from it are left out, the rest of the batch is written;
* the transaction fails for a reason that lies in one commit (a constraint of a user's table, deferred to COMMIT; a
  statement of a user that rolled everything back): the batch is written again in halves, down to that one;
* the machine fails (disk full, file locked, I/O error): nothing is lost and nothing is skipped, the same batch is
  tried again until it succeeds; after an I/O error on a connection that is opened anew, because after a failed fsync
  nobody knows what the old one has on disk. Which batch was the last one stands in the file, so a commit of unknown
  outcome is looked up before it is tried again, and not applied twice.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, final

import apsw
from msgspec.structs import astuple

from onstage.core.commit import Commit, Refusal, RefusedBecause, Transaction
from onstage.errors import StoreUnavailable
from onstage.ports.store import BatchOutcome
from onstage.stores.batch import Batch, Spoilt
from onstage.stores.process_row import SHARDS
from onstage.stores.sqlite.connection import Guard, read_meta
from onstage.stores.sqlite.queries import insert_many, query, select_many

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from onstage.core.journal import Entry
    from onstage.ports.workers import Workers
    from onstage.stores.sqlite.offload import Offload

__all__ = ["BATCH_COMMITS_MAX", "FELLED_MAX", "RETRY_S", "Writer"]

RETRY_S: Final = 0.25
BATCH_COMMITS_MAX: Final = 2_000
"""A batch takes no more lists of commits beyond this: whoever waits for one goes on while the next is written."""
CHECKPOINT_PAGES: Final = 4_000
FELLED_MAX: Final = 100_000
"""How many refused positions are remembered: far more than the undurable commits that could descend from them."""

_MACHINE: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.NoMemError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ProtocolError,
    apsw.ConnectionClosedError,
    MemoryError,
)
_ENVIRONMENT: Final = (*_MACHINE, apsw.BusyError, apsw.LockedError)
_DOUBTFUL: Final = (apsw.IOError, apsw.CantOpenError, apsw.CorruptError, apsw.NotADBError, apsw.ConnectionClosedError)
_FAILED: Final = (
    "the writer failed, and nothing more is written\n  why: an error of Onstage's own, which the log shows\n"
    "  to do: restart the node, nothing accepted is lost; report the error"
)
log = logging.getLogger("onstage.store")


class _NotBegunError(Exception):
    """The transaction could not begin: no commit is at fault. The cause says why."""


_WRAPPERS: Final = (Spoilt, _NotBegunError, StoreUnavailable)


@final
class Writer:
    """Owns the writing connection. All methods but `hand_over` run on the writer."""

    def __init__(
        self,
        reopen: Callable[[], apsw.Connection],
        workers: Workers,
        report: Callable[[BatchOutcome], None],
        *,
        monotonic: Callable[[], float],
        probe: Callable[[str], None] | None = None,
    ) -> None:
        """`reopen` opens the file, `report` runs on the loop, `probe` is called at every boundary of a commit."""
        self._reopen = reopen
        self._workers = workers
        self._report = report
        self._monotonic = monotonic
        self._probe = probe or (lambda _: None)
        self._queue: deque[list[Commit]] = deque()
        self._retry: list[Commit] = []
        self._felled: set[int] = set()
        self._seqs = [0] * SHARDS
        self._in_doubt: Batch | None = None
        self._is_broken = False
        self._is_closed = False
        self._busy = threading.RLock()  # reentrant: a simulated kill closes from within a batch
        self.epoch = 0
        self.incarnation = ""
        self.outcomes: dict[str, dict[int, str]] = {}
        self.undoing: dict[str, frozenset[int]] = {}
        self.partial = False
        self.offload: Offload | None = None
        self.trouble: str | None = None
        self.batches = 0
        self.commits = 0
        self.refused = 0
        self.adopt(reopen())

    def adopt(self, connection: apsw.Connection) -> None:
        """Take over a fresh connection."""
        connection.wal_autocheckpoint(CHECKPOINT_PAGES)
        self.connection = connection
        self._guard = Guard(connection, self._monotonic)

    # On the loop.

    def hand_over(self, commits: list[Commit]) -> None:
        """Queue commits; the writer takes everything queued as one batch."""
        self._queue.append(commits)
        self._workers.submit(self._drain)

    def close(self) -> None:
        """Let a batch that is being written end, write no other, close the connection. The file is complete."""
        with self._busy:
            self._is_closed = True
            try:
                self.connection.close(True)
            except apsw.Error:
                log.debug("the last checkpoint failed; the next start repeats it", exc_info=True)

    # On the writer.

    def _drain(self) -> None:
        with self._busy:
            if self._retry or self._is_closed:
                return
            try:
                self._commit(self._queued())
            except BaseException:
                self._fail()
                raise

    def _again(self) -> None:
        with self._busy:
            if self._is_closed:
                return
            commits, self._retry = self._retry + self._queued(), []
            try:
                if self._is_broken:
                    self._reconnect()
                commits = self._after_doubt(commits)
            except Exception as error:  # noqa: BLE001  nothing was asked of a commit yet
                self._postpone(commits, error)
                return
            try:
                self._commit(commits)
                while self._queue and not self._retry:  # their own turns passed while the store was in trouble
                    self._commit(self._queued())
            except BaseException:
                self._fail()
                raise

    def _fail(self) -> None:
        self._is_closed = True
        self.trouble = _FAILED

    def _queued(self) -> list[Commit]:
        commits: list[Commit] = []
        while self._queue and len(commits) < BATCH_COMMITS_MAX:
            commits.extend(self._queue.popleft())
        return commits

    def _commit(self, commits: list[Commit]) -> None:
        parts = [commits] if commits else []
        while parts:
            part = parts.pop()
            try:
                batch = self._write(part)
            except Exception as error:  # noqa: BLE001  the machine's fault, or one commit's
                if _is_environment(error):
                    self._postpone([commit for piece in (part, *reversed(parts)) for commit in piece], error)
                    return
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]] if middle else []
                if not middle:
                    self._refuse(part[0], error)
                continue
            self._probe("after")
            self._written(batch)

    def _written(self, batch: Batch) -> None:
        self._felled |= batch.felled
        if len(self._felled) > 2 * FELLED_MAX:
            self._felled = set(sorted(self._felled)[-FELLED_MAX:])
        self._seqs = batch.seqs
        self._tell(batch.outcome(), batch.count)

    def _refuse(self, commit: Commit, error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, Spoilt) and error.__cause__ else error
        self._felled.add(commit.position)
        self._tell(BatchOutcome(commit.position, [Refusal(commit, RefusedBecause.USER, cause)], {}, []), 1)

    def _tell(self, outcome: BatchOutcome, commits: int) -> None:
        if self.trouble is not None:
            log.warning("the store works again, nothing was lost")
            self.trouble = None
        self.batches += 1
        self.commits += commits
        self.refused += len(outcome.refused)
        self._workers.post(lambda: self._report(outcome))

    def _write(self, commits: list[Commit]) -> Batch:
        self._probe("before")
        batch = Batch(self, self._felled, self._seqs)
        try:
            self._begin()
            self._check_epoch()
            batch.add(commits)
            self._persist(batch)
            self._probe("written")
        except BaseException:
            self._roll_back()
            raise
        try:
            self.connection.execute("COMMIT -- engine")
        except BaseException as error:
            # Whatever the machine says here, it may say it after the deed: a checkpoint follows in the same statement.
            self._in_doubt = batch if isinstance(error, _ENVIRONMENT) else None
            self._roll_back()
            raise
        return batch

    def _begin(self) -> None:
        try:
            self.connection.execute("BEGIN IMMEDIATE -- engine")
        except apsw.Error as error:
            raise _NotBegunError from error

    def _persist(self, batch: Batch) -> None:
        if batch.is_empty:
            return
        db = self.connection
        events: list[tuple[Any, ...]] = list(map(astuple, batch.events))
        entries, states = batch.entries, batch.state_rows()
        if self.offload is not None:
            events, entries, states = self.offload.apply(db, events, entries, states)
        insert_many(db, "insert_event", events)
        insert_many(db, "insert_execution", batch.opened_rows())
        insert_many(db, "update_execution", list(batch.changed.values()))
        insert_many(db, "insert_entry", entries)
        insert_many(db, "insert_receipts", [(self.epoch, *bundle) for bundle in batch.bundles()])
        insert_many(db, "insert_mail", batch.mail)
        insert_many(db, "insert_door", [(d.identity, d.n, d.payload) for d in batch.doors.values()])
        insert_many(db, "upsert_process", batch.close_ledger())
        insert_many(db, "name_handler", list(map(astuple, batch.handlers)))
        for notes in batch.notes:
            for dropped in notes.dropped:
                db.execute(query("drop_notes"), dropped)
            insert_many(db, "keep_note", list(map(astuple, notes.kept)))
        insert_many(db, "put_state", states)
        insert_many(db, "put_progress", list(map(astuple, batch.progress.values())))
        insert_many(db, "put_wave", list(map(astuple, batch.waves.values())))
        if self.offload is not None:
            self.offload.collect(db)
        if (hlc := batch.hlc) > 0:
            db.execute(query("raise_hlc"), (hlc,))
        db.execute(query("set_batch"), (f"{self.incarnation}:{batch.position}",))

    def _check_epoch(self) -> None:
        newest = self.connection.execute(query("writer_epoch")).fetchone()
        assert newest is not None
        if newest[0] != self.epoch:
            # Somebody drew a newer incarnation on this file: nothing of ours may be written any more.
            self.epoch = -1

    # After a failure.

    def _roll_back(self) -> None:
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK -- engine")
        except apsw.Error:
            self._is_broken = True
            log.debug("rollback after a failed commit failed too; the connection is given up", exc_info=True)

    def _postpone(self, commits: list[Commit], error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, _WRAPPERS) and error.__cause__ else error
        why = _explain(cause)
        if self.trouble is None:
            log.error("%s", why)
        self.trouble = why
        self._retry = commits
        self._is_broken = self._is_broken or isinstance(cause, _DOUBTFUL)
        self._workers.submit(self._again, delay_s=RETRY_S)

    def _reconnect(self) -> None:
        # After a failed fsync the pages of the old connection cannot be trusted: read them anew from the disk. The old
        # one is closed only when the fresh one is there, so that a file that is away for a moment is not let go of.
        fresh = self._reopen()
        try:
            self.connection.close(True)
        except apsw.Error:
            log.debug("the old connection does not close", exc_info=True)
        self.adopt(fresh)
        self._is_broken = False

    def _after_doubt(self, commits: list[Commit]) -> list[Commit]:
        batch = self._in_doubt
        if batch is None:
            return commits
        happened = read_meta(self.connection, "batch") == f"{self.incarnation}:{batch.position}"
        self._in_doubt = None
        if not happened:
            return commits
        self._written(batch)
        return [commit for commit in commits if commit.position > batch.position]

    # What a batch asks for.

    def executions(self, ids: Collection[int]) -> list[tuple[Any, ...]]:
        """The stored rows of executions."""
        return select_many(self.connection, "peek_executions", ids)

    def processes(self, ids: Collection[int]) -> list[tuple[Any, ...]]:
        """The stored rows of processes."""
        return select_many(self.connection, "peek_processes", ids)

    def doors(self, identities: Collection[bytes]) -> list[tuple[Any, ...]]:
        """What was admitted under identities."""
        return select_many(self.connection, "peek_doors", identities)

    def states(self, wanted: Collection[tuple[str, str]]) -> list[tuple[Any, ...]]:
        """The versions of keyed states."""
        return [row for place in wanted for row in self.connection.execute(query("peek_state"), place)]

    def progress(self, processes: Collection[int]) -> list[tuple[Any, ...]]:
        """The versions of rows of progress."""
        return select_many(self.connection, "peek_progress", processes)

    def waves(self, processes: Collection[int]) -> list[tuple[Any, ...]]:
        """The versions of rows that say whether processes are undone."""
        return select_many(self.connection, "peek_waves", processes)

    def transact(self, transaction: Transaction) -> Entry:
        """Run a user's transaction in a savepoint; its journal entry is the answer.

        Raises Spoilt when the transaction of the whole batch was rolled back with it, or the machine is at fault.
        """
        try:
            entry: Entry = self._guard.run(transaction.run)
        except Exception as error:
            if isinstance(error, _MACHINE) or not self.connection.in_transaction:
                raise Spoilt from error
            raise
        return entry


def _is_environment(error: Exception) -> bool:
    if isinstance(error, Spoilt):
        return isinstance(error.__cause__, _MACHINE)
    return isinstance(error, (_NotBegunError, *_ENVIRONMENT))


def _explain(error: BaseException) -> str:
    if isinstance(error, apsw.FullError):
        return "the disk is full\n  why: a batch could not be written\n  to do: free space; work goes on by itself"
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return (
            "the store is locked\n  why: another program holds a write transaction on the file\n"
            "  to do: let it finish or stop it; work goes on by itself"
        )
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return (
            f"the store is damaged\n  why: {error}\n"
            "  to do: stop the node, restore a backup; nothing is written before that"
        )
    return f"the store cannot be written\n  why: {error}\n  to do: check the disk; work goes on by itself"
