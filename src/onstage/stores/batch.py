"""One batch of commits, worked out before it touches a row.

Theory of operation. The writer hands over commits in the order of their positions. Each is applied wholly or refused
wholly; a refused commit *fells* every later one that follows from it. What is left is a set of rows, each written
once: an obligation opened and settled within one batch is one row in its final state, a process touched a thousand
times is one row. This module is pure; the store gives it `peek` functions for what is not in the batch and a way to
run a user's transaction, and writes the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, final

from onstage.core.commit import Commit, NewEvent, Obligation, Refusal, RefusedBecause
from onstage.core.journal import Entry, encode_entry
from onstage.events.receipt import OPEN_MAX, encode_receipt
from onstage.ports.store import BatchOutcome, Closed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from onstage.core.commit import Door, NewProcess, Transaction

__all__ = ["SHARDS", "Batch", "Peek", "ProcessRow", "Spoilt"]

SHARDS: Final = 64
"""Receipt shards; the shard of a process is its root's number modulo this."""

PROCESS: Final = 1
STATUS: Final = 2
GATING: Final = 3
LENGTH: Final = 5


class Spoilt(Exception):
    """Raised by `Peek.transact`: what this batch did in the store is gone, it must begin again. The cause says why."""


@final
class ProcessRow:
    """The ledger's row of one process, while a batch works on it."""

    __slots__ = ("declared", "digest", "ended", "id", "key", "open", "outcome", "started", "wire_id")

    def __init__(self, row: tuple[Any, ...]) -> None:
        """Take over a stored row: id, wire id, declared, key, digest (16 bytes), open, outcome, started, ended."""
        self.id, self.wire_id, self.declared, self.key, digest, self.open, *rest = row
        self.digest = int.from_bytes(digest, "big")
        self.outcome: str | None
        self.started: int
        self.ended: int | None
        self.outcome, self.started, self.ended = rest

    @classmethod
    def new(cls, process: NewProcess) -> ProcessRow:
        """The row of a process that begins in this batch."""
        start = (process.process, process.wire_id, process.declared, process.key)
        return cls((*start, bytes(16), 0, None, process.started, None))

    def values(self) -> tuple[Any, ...]:
        """The row as it is stored."""
        head = (self.id, self.wire_id, self.declared, self.key, self.digest.to_bytes(16, "big"), self.open)
        return (*head, self.outcome, self.started, self.ended)


class Peek(Protocol):
    """What a batch must know of the rows that are already stored, and the one act it asks for."""

    epoch: int
    outcomes: dict[str, dict[int, str]]

    def execution(self, execution: int) -> list[Any] | None:
        """The stored row of an execution."""
        ...

    def process(self, process: int) -> ProcessRow | None:
        """The stored row of a process."""
        ...

    def door(self, identity: bytes) -> tuple[int, bytes] | None:
        """The event number and payload hash under an identity from outside."""
        ...

    def transact(self, transaction: Transaction) -> Entry:
        """Run a user's transaction in a savepoint of its own; what it raises, except `Spoilt`, refuses the commit."""
        ...


@final
class Batch:
    """The rows of one batch, and what became of its commits.

    `refused_before` are positions that earlier batches refused; it is only read. What this batch refuses is in
    `felled`, and joins them once the batch is written.
    """

    def __init__(self, peek: Peek, refused_before: AbstractSet[int], seqs: list[int]) -> None:
        """Begin a batch on the present state of the store."""
        self._peek = peek
        self._refused_before = refused_before
        self.felled: set[int] = set()
        self.hlc = 0
        self.seqs = list(seqs)
        self.events: list[NewEvent] = []
        self.rows: dict[int, Any] = {}
        self._peeked: dict[int, list[Any]] = {}
        self.entries: list[tuple[int, int, bytes]] = []
        self.receipts: list[tuple[int, int, int, bytes]] = []
        self.mail: list[tuple[int, int, int]] = []
        self.doors: dict[bytes, Door] = {}
        self.processes: dict[int, ProcessRow] = {}
        self.refused: list[Refusal] = []
        self.results: dict[int, Entry] = {}
        self.position = 0
        self.count = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write: every commit was refused, or none changes a row."""
        return not (self.events or self.rows or self.receipts or self.mail or self.doors or self.processes)

    def add(self, commits: Iterable[Commit]) -> None:
        """Apply the commits in their order, each wholly or not at all."""
        for commit in commits:
            self.count += 1
            self.position = commit.position
            refusal = self._refusal(commit) or self._transact(commit)
            if refusal is None:
                self._apply(commit)
                continue
            self.felled.add(commit.position)
            self.refused.append(refusal)

    def outcome(self) -> BatchOutcome:
        """What became of the batch; call it after `close_ledger`."""
        closed = [
            Closed(row.id, row.outcome, row.ended or 0, row.digest == 0)
            for row in self.processes.values()
            if row.open == 0
        ]
        return BatchOutcome(self.position, self.refused, self.results, closed)

    def execution_rows(self) -> list[list[Any]]:
        """The execution rows to write, obligations that are only opened included, in the order of their numbers."""
        epoch = self._peek.epoch
        rows = self.rows
        return [
            [o.execution, o.process, 0, o.gating, 0, 0, epoch, 0, o.due, 0, 0, 0, None, None]
            if type(o := rows[x]) is Obligation
            else o
            for x in sorted(rows)
        ]

    # Refusing.

    def _refusal(self, commit: Commit) -> Refusal | None:
        if commit.after and self._descends_from_refused(commit.after):
            return Refusal(commit, RefusedBecause.FELLED)
        if commit.epoch != self._peek.epoch:
            return Refusal(commit, RefusedBecause.STALE_EPOCH)
        if commit.door is not None:
            return self._seen_at_the_door(commit, commit.door)
        if commit.execution:
            return self._conflict(commit)
        return None

    def _descends_from_refused(self, after: tuple[int, ...]) -> bool:
        return not (self.felled.isdisjoint(after) and self._refused_before.isdisjoint(after))

    def _seen_at_the_door(self, commit: Commit, door: Door) -> Refusal | None:
        known = self.doors.get(door.identity)
        stored = (known.n, known.payload) if known else self._peek.door(door.identity)
        if stored is None:
            return None
        same = stored[0] if stored[1] == door.payload else None
        return Refusal(commit, RefusedBecause.DUPLICATE, existing=same)

    def _conflict(self, commit: Commit) -> Refusal | None:
        row = self.rows.get(commit.execution) or self._peeked.get(commit.execution)
        if type(row) is Obligation:
            return None if commit.expected == 0 else Refusal(commit, RefusedBecause.CONFLICT)
        if row is None:
            row = self._peek.execution(commit.execution)
            if row is None:
                return Refusal(commit, RefusedBecause.CONFLICT)
            self._peeked[commit.execution] = row
        if row[STATUS] > OPEN_MAX or row[LENGTH] != commit.expected:
            return Refusal(commit, RefusedBecause.CONFLICT)
        return None

    def _transact(self, commit: Commit) -> Refusal | None:
        if commit.transaction is None:
            return None
        try:
            entry = self._peek.transact(commit.transaction)
        except Spoilt:
            raise
        except Exception as error:  # noqa: BLE001  whatever the user's function raises is its answer
            return Refusal(commit, RefusedBecause.USER, error)
        self.results[commit.position] = entry
        return None

    # Applying.

    def _apply(self, commit: Commit) -> None:
        for new in commit.roots:
            self.processes[new.process] = ProcessRow.new(new)
        if commit.door is not None:
            self.doors[commit.door.identity] = commit.door
        if commit.execution:
            self._settle(commit)
        if commit.events:
            self.events.extend(commit.events)
            for event in commit.events:
                self.hlc = max(self.hlc, event.hlc)
                self._note_outcome(event)
        for obligation in commit.opened:
            self.rows[obligation.execution] = obligation
            if obligation.gating:
                self._process(obligation.process).open += 1
        for mail in commit.mail:
            self.mail.append((mail.handler, mail.process, mail.n))
        for receipt in commit.receipts:
            process = self._process(receipt.process)
            process.digest ^= int.from_bytes(receipt.delta, "big")
            self.hlc = max(self.hlc, receipt.hlc)
            shard = receipt.process % SHARDS
            seq = self.seqs[shard] = self.seqs[shard] + 1
            self.receipts.append((shard, seq, receipt.process, encode_receipt(receipt)))

    def _settle(self, commit: Commit) -> None:
        row = self.rows.get(commit.execution) or self._peeked[commit.execution]
        if type(row) is Obligation:  # its process, and whether it counts, were settled when it was opened
            process, gating = row.process, row.gating
        else:
            process, gating = row[PROCESS], bool(row[GATING])
        length = commit.expected
        entries = commit.entries
        if commit.transaction is not None:
            entries = (*entries, self.results[commit.position])
        for entry in entries:
            self.entries.append((commit.execution, length, encode_entry(entry)))
            length += 1
        self.rows[commit.execution] = [
            commit.execution,
            process,
            commit.status,
            gating,
            commit.segment,
            length,
            commit.epoch,
            commit.attempts,
            commit.due,
            commit.started,
            commit.ended,
            commit.code,
            commit.waits,
            commit.error,
        ]
        if gating and commit.status > OPEN_MAX:
            ledger = self._process(process)
            ledger.open -= 1
            if ledger.open == 0:  # the one that closes it says when, however the commits fell into batches
                ledger.ended = commit.ended

    def _process(self, process: int) -> ProcessRow:
        row = self.processes.get(process)
        if row is None:
            row = self._peek.process(process)
            assert row is not None, f"process {process} has no row: event of execution without a root"
            self.processes[process] = row
        return row

    def _note_outcome(self, event: NewEvent) -> None:
        outcomes = self._peek.outcomes
        if not outcomes:
            return
        process = self._process(event.process)
        if process.outcome is None and process.declared is not None:
            process.outcome = outcomes.get(process.declared, {}).get(event.type)

    def close_ledger(self) -> list[tuple[Any, ...]]:
        """The process rows to write. A process with nothing open has ended; one with something open has not."""
        for row in self.processes.values():
            if row.open:
                row.ended = None
            elif row.ended is None:
                row.ended = row.started
        return [row.values() for row in self.processes.values()]
