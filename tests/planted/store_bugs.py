"""Bugs planted in the doors, in the commit and on the disk."""

import asyncio
import itertools
from typing import Any

import apsw
import pytest

from onstage.core.commit import Commit
from onstage.core.journal import Entry
from onstage.ports.store import BatchOutcome, Closed
from onstage.runtime import admission, driver, emission, segment, watch
from onstage.runtime.admission import Admission
from onstage.runtime.emission import Emission
from onstage.runtime.frame import Frame
from onstage.runtime.node import Node
from onstage.runtime.segment import delta_of
from onstage.stores.batch import Batch
from onstage.stores.sqlite import connection
from onstage.stores.sqlite.writer import Writer

Patch = pytest.MonkeyPatch
A_MOMENT_S = 0.001


def barrier_skipped(patch: Patch) -> None:
    """A step runs before what led to it is durable."""

    async def barrier(_: Frame) -> None:
        return None

    patch.setattr(Frame, "barrier", barrier)


def answer_before_commit(patch: Patch) -> None:
    """A client is answered when its event is appended, not when it is durable."""

    async def at_once(self: Admission, admitted: Any) -> int:
        process: int = admitted[0]
        return process or await self._process_of(admitted[2])

    patch.setattr(Admission, "stored", at_once)


def identity_forgotten(patch: Patch) -> None:
    """An event that is sent again under its id is another event."""
    plain, numbers = admission.door_of, itertools.count()
    patch.setattr(admission, "door_of", lambda source, name, *rest: plain(source, f"{name}{next(numbers)}", *rest))


def payload_not_compared(patch: Patch) -> None:
    """Another payload under a known id is taken for a repetition."""
    plain = admission.door_of

    def door(*given: Any) -> Any:
        made = plain(*given)
        made.payload = bytes(16)
        return made

    patch.setattr(admission, "door_of", door)


def dedupe_outside_the_transaction(patch: Patch) -> None:
    """The identity of an event is stored in a transaction of its own, after the event."""
    plain = Node.append

    def append(self: Node, commit: Commit, emitted: Emission | None) -> int:
        door, commit.door = commit.door, None
        position = plain(self, commit, emitted)
        if door is not None:
            _append_later(self, Commit(epoch=self.epoch, after=(position,), door=door))
        return position

    patch.setattr(Node, "append", append)


def mail_not_in_the_commit(patch: Patch) -> None:
    """An event reaches the mailboxes in a transaction of its own, after the event."""
    plain = Node.append

    def append(self: Node, commit: Commit, emitted: Emission | None) -> int:
        mail, commit.mail = commit.mail, ()
        position = plain(self, commit, emitted)
        if mail:
            _append_later(self, Commit(epoch=self.epoch, after=(position,), mail=mail))
        return position

    patch.setattr(Node, "append", append)


def _append_later(node: Node, commit: Commit) -> None:
    def append() -> None:
        node.store.append(commit)
        node.store.flush()

    asyncio.get_running_loop().call_later(A_MOMENT_S, append)


def felling_left_out(patch: Patch) -> None:
    """What follows from a refused commit is written."""
    patch.setattr(Batch, "_descends_from_refused", lambda *_: False)


def conflict_check_left_out(patch: Patch) -> None:
    """A commit is written although its execution has moved on since it was worked out."""
    patch.setattr(Batch, "_conflict", lambda *_: None)


def epoch_not_checked(patch: Patch) -> None:
    """A writer that was replaced goes on writing."""
    patch.setattr(Writer, "_check_epoch", lambda _: None)


def unknown_outcome_repeated(patch: Patch) -> None:
    """A batch whose COMMIT failed is written again, without a look whether it had happened."""
    patch.setattr(Writer, "_after_doubt", lambda _, commits: commits)


def unknown_outcome_believed(patch: Patch) -> None:
    """A batch whose COMMIT failed is taken for written, without a look whether it had happened."""

    def after_doubt(self: Writer, commits: list[Commit]) -> list[Commit]:
        batch, self._in_doubt = self._in_doubt, None
        if batch is None:
            return commits
        self._written(batch)
        return [commit for commit in commits if commit.position > batch.position]

    patch.setattr(Writer, "_after_doubt", after_doubt)


def failed_batch_given_up(patch: Patch) -> None:
    """After an error of the machine the first commit of the batch is left out: next transaction please."""
    plain = Writer._postpone
    patch.setattr(Writer, "_postpone", lambda self, commits, error: plain(self, commits[1:] or commits, error))


def seq_drawn_by_a_lost_batch(patch: Patch) -> None:
    """A transaction draws the numbers of its receipts for good, whether it is committed or not."""
    plain = Batch.__init__

    def init(self: Batch, peek: Any, refused_before: Any, seqs: list[int]) -> None:
        plain(self, peek, refused_before, seqs)
        self.seqs = seqs

    patch.setattr(Batch, "__init__", init)


def commits_not_synced(patch: Patch) -> None:
    """A transaction ends before the disk has it."""
    open_writer_with(patch, "synchronous = OFF")


def open_writer_with(patch: Patch, setting: str) -> None:
    """Connections that write have this PRAGMA as well."""
    plain = connection.open_writer

    def open_writer(*given: Any) -> apsw.Connection:
        opened = plain(*given)
        opened.execute(f"PRAGMA {setting}")
        return opened

    patch.setattr(connection, "open_writer", open_writer)


def handler_left_out(patch: Patch) -> None:
    """An event gets obligations for two of its handlers at most."""
    plain = Emission._open

    def some(self: Emission, route: Any, *rest: Any, **times: Any) -> int:
        triggers, route.triggers = route.triggers, route.triggers[:2]
        try:
            return plain(self, route, *rest, **times)
        finally:
            route.triggers = triggers

    patch.setattr(Emission, "_open", some)


def clock_alone_orders(patch: Patch) -> None:
    """An event is stamped with what the wall clock says, although its cause has a later stamp."""
    patch.setattr(emission, "hlc_next", lambda _, now_ms: now_ms << 16)


def receipt_without_digest(patch: Patch) -> None:
    """One handler's receipts do not close its token."""

    def delta(frame: Frame, status: Any, emitted: Any) -> bytes:
        right = delta_of(frame, status, emitted)
        return bytes(16) if frame.reaction.name == "shop.note" else right

    patch.setattr(driver, "delta_of", delta)


def receipts_without_digest(patch: Patch) -> None:
    """No obligation has a token: the digest of every process is always zero."""
    patch.setattr(segment, "token", lambda *_: 0)
    patch.setattr(emission, "token", lambda *_: 0)


def receipt_twice(patch: Patch) -> None:
    """A rejection is accounted for twice."""
    plain = Batch._apply

    def apply(self: Batch, commit: Commit) -> None:
        if commit.receipts and commit.receipts[0].handler and commit.receipts[0].status == 6:
            commit.receipts = (*commit.receipts, *commit.receipts[:1])
        plain(self, commit)

    patch.setattr(Batch, "_apply", apply)


def verdict_before_durable(patch: Patch) -> None:
    """Who waits for a process is told of its end when its last commit is appended."""
    plain = Node.settled

    def settled(self: Node, frame: Frame, status: Any) -> None:
        process = frame.delivery.process
        plain(self, frame, status)
        is_last = status == 6 and not any(other.process == process for other in self.open.values())
        if is_last and self.admission.is_open(process):
            self.watch.batch(BatchOutcome(0, [], {}, [Closed(process, "world.delivered", 0, balanced=True)]))

    patch.setattr(Node, "settled", settled)


def waiting_called_completed(patch: Patch) -> None:
    """A process that waits is said to be completed."""
    plain = watch.judge

    def judge(*facts: Any) -> Any:
        verdict = plain(*facts)
        return watch.Verdict("completed", "x") if verdict.status == "waiting" else verdict

    patch.setattr(watch, "judge", judge)


def identities_kept(patch: Patch) -> None:
    """Identities that are durable stay in memory."""
    patch.setattr(Admission, "durable", lambda *_: None)


def transaction_outside_the_batch(patch: Patch) -> None:
    """A user's transaction is committed before the commit that records it."""
    plain = Writer.transact

    def transact(self: Writer, transaction: Any) -> Entry:
        entry = plain(self, transaction)
        self.connection.execute("COMMIT -- early")
        self._probe("before")
        self.connection.execute("BEGIN IMMEDIATE -- engine")
        return entry

    patch.setattr(Writer, "transact", transact)


def transaction_rolled_back(patch: Patch) -> None:
    """What a user's transaction has written is undone, and recorded as done."""
    plain = Writer.transact

    def transact(self: Writer, transaction: Any) -> Entry:
        self.connection.execute("SAVEPOINT planted -- engine")
        entry = plain(self, transaction)
        self.connection.execute("ROLLBACK TO planted -- engine")
        self.connection.execute("RELEASE planted -- engine")
        return entry

    patch.setattr(Writer, "transact", transact)
