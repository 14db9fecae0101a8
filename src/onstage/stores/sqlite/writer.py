"""The writer: takes whatever is queued, works it out as one batch, writes it in one transaction, one fsync.

What can go wrong, and what happens then:

* a commit is refused: it and what follows from it are left out, the rest of the batch is written;
* the transaction fails for a reason that lies in one commit (a constraint of a user's table, deferred to COMMIT):
  the batch is written again, each commit in a transaction of its own;
* the machine fails (disk full, file locked, I/O error): nothing is lost and nothing is skipped, the same batch is
  tried again until it succeeds; after an I/O error on a connection that is opened anew, because after a failed fsync
  nobody knows what the old one has on disk. Which batch was the last one stands in the file, so a commit of unknown
  outcome is not applied twice.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, final

import apsw

from onstage.core.commit import Commit, Refusal, RefusedBecause, Transaction
from onstage.ports.store import BatchOutcome
from onstage.stores.batch import SHARDS, Batch, ProcessRow
from onstage.stores.sqlite.connection import Guard, read_meta
from onstage.stores.sqlite.queries import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.core.journal import Entry
    from onstage.ports.workers import Workers

__all__ = ["RETRY_S", "Writer"]

RETRY_S: Final = 0.25
CHECKPOINT_PAGES: Final = 4_000

_ENVIRONMENT: Final = (
    apsw.FullError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.NoMemError,
)
log = logging.getLogger("onstage.store")


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
        self.epoch = 0
        self.incarnation = ""
        self.outcomes: dict[str, dict[int, str]] = {}
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

    # On the writer.

    def _drain(self) -> None:
        if self._retry:
            return
        batch: list[Commit] = []
        while self._queue:
            batch.extend(self._queue.popleft())
        if batch:
            self._commit(batch)

    def _again(self) -> None:
        batch, self._retry = self._retry, []
        while self._queue:
            batch.extend(self._queue.popleft())
        self._commit(batch)

    def _commit(self, commits: list[Commit]) -> None:
        try:
            outcome = self._write(commits)
        except _ENVIRONMENT as error:
            self._postpone(commits, error)
            return
        except Exception as error:  # noqa: BLE001  one commit's fault: find it
            self._one_by_one(commits, error)
            return
        self._report_done(outcome)

    def _report_done(self, outcome: BatchOutcome) -> None:
        if self.trouble is not None:
            log.warning("the store works again, nothing was lost")
            self.trouble = None
        self.batches += 1
        self.refused += len(outcome.refused)
        self._workers.post(lambda: self._report(outcome))

    def _one_by_one(self, commits: list[Commit], error: Exception) -> None:
        if len(commits) == 1:
            self._felled.add(commits[0].position)
            refusal = Refusal(commits[0], RefusedBecause.USER, error)
            self._report_done(BatchOutcome(commits[0].position, [refusal], {}, []))
            return
        for place, commit in enumerate(commits):
            try:
                outcome = self._write([commit])
            except _ENVIRONMENT as trouble:
                self._postpone(commits[place:], trouble)
                return
            except Exception as fault:  # noqa: BLE001  this is the one
                self._one_by_one([commit], fault)
                continue
            self._report_done(outcome)

    def _write(self, commits: list[Commit]) -> BatchOutcome:
        self._probe("before")
        self.connection.execute("BEGIN IMMEDIATE -- engine")
        felled = set(self._felled)
        batch = Batch(self, felled, self._seqs)
        try:
            self._check_epoch()
            batch.add(commits)
            self._persist(batch)
            self._probe("written")
            self.connection.execute("COMMIT -- engine")
        except BaseException as error:
            self._roll_back()
            if not (isinstance(error, apsw.IOError) and self._was_committed(commits[-1].position)):
                raise
        self._probe("after")
        self._felled, self._seqs = felled, batch.seqs
        self.commits += len(commits)
        return batch.outcome()

    def _persist(self, batch: Batch) -> None:
        many = self.connection.executemany
        if batch.events:
            many(
                query("insert_event"),
                ((e.n, e.process, e.type, e.key, e.cause, e.hlc, e.topology, e.data, e.extra) for e in batch.events),
            )
        if batch.rows:
            many(query("upsert_execution"), batch.execution_rows())
        if batch.entries:
            many(query("insert_entry"), batch.entries)
        if batch.receipts:
            epoch = self.epoch
            many(query("insert_receipt"), ((epoch, *receipt) for receipt in batch.receipts))
        if batch.mail:
            many(query("insert_mail"), batch.mail)
        if batch.doors:
            many(query("insert_door"), [(d.identity, d.n, d.payload) for d in batch.doors.values()])
        if batch.processes:
            many(query("upsert_process"), batch.close_ledger())
        self.connection.execute(query("set_batch"), (f"{self.incarnation}:{batch.position}",))

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
            log.debug("rollback after a failed commit failed too; the connection is given up", exc_info=True)

    def _postpone(self, commits: list[Commit], error: Exception) -> None:
        why = _explain(error)
        if self.trouble is None:
            log.error("%s", why)
        self.trouble = why
        self._retry = commits
        if isinstance(error, apsw.IOError | apsw.CantOpenError):
            self._reconnect()
        self._workers.submit(self._again, delay_s=RETRY_S)

    def _reconnect(self) -> None:
        # After a failed fsync the pages of the old connection cannot be trusted: read them anew from the disk.
        try:
            fresh = self._reopen()
            self.connection.close(True)
            self.adopt(fresh)
        except Exception:
            log.debug("the store cannot be opened anew yet", exc_info=True)

    def _was_committed(self, position: int) -> bool:
        self._reconnect()
        try:
            return bool(read_meta(self.connection, "batch") == f"{self.incarnation}:{position}")
        except apsw.Error:
            return False

    # What a batch asks for.

    def execution(self, execution: int) -> list[Any] | None:
        """The stored row of an execution."""
        row = self.connection.execute(query("peek_execution"), (execution,)).fetchone()
        return None if row is None else list(row)

    def process(self, process: int) -> ProcessRow | None:
        """The stored row of a process."""
        row = self.connection.execute(query("peek_process"), (process,)).fetchone()
        return None if row is None else ProcessRow(row)

    def door(self, identity: bytes) -> tuple[int, bytes] | None:
        """What was admitted under this identity."""
        row = self.connection.execute(query("peek_door"), (identity,)).fetchone()
        return None if row is None else (row[0], row[1])

    def transact(self, transaction: Transaction) -> Entry:
        """Run a user's transaction in a savepoint; its journal entry is the answer."""
        entry: Entry = self._guard.run(transaction.run)
        return entry

    def close(self) -> None:
        """Close the connection; the file is complete without it."""
        self.connection.close(True)


def _explain(error: Exception) -> str:
    if isinstance(error, apsw.FullError):
        return "the disk is full\n  why: a batch could not be written\n  to do: free space; work goes on by itself"
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return (
            "the store is locked\n  why: another program holds a write transaction on the file\n"
            "  to do: let it finish or stop it; work goes on by itself"
        )
    return f"the store cannot be written\n  why: {error}\n  to do: check the disk; work goes on by itself"
