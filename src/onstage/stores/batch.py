"""One batch of commits, worked out before it touches a row.

Theory of operation. The writer hands over commits in the order of their positions. Each is applied wholly or refused
wholly; a refused commit *fells* every later one that follows from it. What is left is a set of rows, each written
once: an obligation opened and settled within one batch is one row in its final state, a process touched a thousand
times is one row. This module is pure; the store gives it `peek` functions for what is not in the batch and a way to
run a user's transaction, and writes the rows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from onstage.core.commit import Commit, Door, NewEvent, Obligation, Refusal, RefusedBecause, StateWrite
from onstage.core.journal import Entry, encode_entry
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import OPEN_MAX, Receipt, Status
from onstage.ports.store import BatchOutcome, Closed
from onstage.stores.bundling import bundled
from onstage.stores.process_row import SHARDS, ProcessRow
from onstage.stores.undo_decisions import UndoDecisions, can_be_undone
from onstage.stores.versioned_rows import VersionedRows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from onstage.core.commit import NewHandler, Notes, ProgressRow, Transaction

__all__ = ["Batch", "Peek", "Spoilt"]

PROCESS: Final = 1
STATUS: Final = 2
GATING: Final = 3
LENGTH: Final = 5
OUTCOME: Final = 6


class Spoilt(Exception):
    """Raised by `Peek.transact`: what this batch did in the store is gone, it must begin again. The cause says why."""


class Peek(Protocol):
    """What a batch must know of the rows that are already stored, and the one act it asks for."""

    epoch: int
    outcomes: dict[str, dict[int, str]]
    undoing: dict[str, frozenset[int]]
    partial: bool

    def executions(self, ids: Collection[int]) -> Iterable[tuple[Any, ...]]:
        """The stored rows of these executions, in any order; nothing for those that do not exist."""
        ...

    def processes(self, ids: Collection[int]) -> Iterable[tuple[Any, ...]]:
        """The stored rows of these processes, likewise."""
        ...

    def doors(self, identities: Collection[bytes]) -> Iterable[tuple[bytes, int, bytes]]:
        """Identity, event number and payload hash of what was admitted under these identities, likewise."""
        ...

    def states(self, wanted: Collection[tuple[str, str]]) -> Iterable[tuple[str, str, int]]:
        """State, key and version of these keyed states, likewise."""
        ...

    def progress(self, processes: Collection[int]) -> Iterable[tuple[int, int]]:
        """Process and version of the rows of progress of these processes, likewise."""
        ...

    def waves(self, processes: Collection[int]) -> Iterable[tuple[int, int]]:
        """Process and version of the rows that say whether these processes are undone, likewise."""
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
        self._decisive = {number for numbers in peek.outcomes.values() for number in numbers}
        self.felled: set[int] = set()
        self.seqs = list(seqs)
        self.events: list[NewEvent] = []
        self.opened: dict[int, Obligation | tuple[Any, ...]] = {}
        self.changed: dict[int, tuple[Any, ...]] = {}
        self._stored: dict[int, tuple[Any, ...]] = {}
        self._stored_processes: dict[int, tuple[Any, ...]] = {}
        self._stored_doors: dict[bytes, tuple[int, bytes]] = {}
        self._stored_states: dict[tuple[str, str], int] = {}
        self.entries: list[tuple[int, int, bytes]] = []
        self._receipts: defaultdict[int, list[Receipt]] = defaultdict(list)
        self.mail: list[tuple[int, int, int, int]] = []
        self.doors: dict[bytes, Door] = {}
        self.processes: dict[int, ProcessRow] = {}
        self.notes: list[Notes] = []
        self.handlers: list[NewHandler] = []
        self.states: dict[tuple[str, str], tuple[StateWrite, int, int]] = {}
        self._progress: VersionedRows[ProgressRow] = VersionedRows()
        self._decisions = UndoDecisions(peek.undoing, peek.waves, partial=peek.partial)
        self._waves = self._decisions.rows
        self.progress, self.waves = self._progress.newest, self._waves.newest
        self._is_watching = False
        self.refused: list[Refusal] = []
        self.results: dict[int, Entry] = {}
        self.position = 0
        self.count = 0

    @property
    def hlc(self) -> int:
        """The largest reading of this node's clock, 0 if there is none: each event of its own comes with a receipt.

        What another node's clock said of an event is kept with that event, and raises nothing.
        """
        return max((receipt.hlc for bundle in self._receipts.values() for receipt in bundle), default=0)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write: every commit was refused, or none changes a row."""
        rows = (self.events, self.opened, self.changed, self._receipts, self.mail, self.doors, self.processes)
        others = (self.notes, self.handlers, self.states, self.progress, self.waves)
        return not any(rows) and not any(others)

    def add(self, commits: Sequence[Commit]) -> None:
        """Apply the commits in their order, each wholly or not at all."""
        self._look_up(commits)
        for commit in commits:
            self.count += 1
            self.position = commit.position
            refusal = self._refusal(commit)
            if refusal is None and commit.transaction is not None:
                refusal = self._transact(commit, commit.transaction)
            if refusal is None:
                self._apply(commit)
                continue
            self.felled.add(commit.position)
            self.refused.append(refusal)

    def outcome(self) -> BatchOutcome:
        """What became of the batch; call it after `close_ledger`."""
        closed = [
            Closed(row.id, row.outcome, row.ended or 0, row.digest == 0, bool(row.undoable))
            for row in self.processes.values()
            if row.open == 0 and not (self._peek.partial and row.digest)
        ]
        return BatchOutcome(self.position, self.refused, self.results, closed, list(self.waves.values()))

    def _look_up(self, commits: Sequence[Commit]) -> None:
        """Read all rows that the commits change and this batch does not begin, each kind at once."""
        opened = {obligation.execution for commit in commits for obligation in commit.opened}
        begun = {root.process for commit in commits for root in commit.roots}
        executions = {commit.execution for commit in commits if commit.execution}
        executions.update(*(commit.also for commit in commits if commit.also))
        processes = {receipt.process for commit in commits for receipt in commit.receipts}
        doors = {commit.door.identity for commit in commits if commit.door is not None}
        states = {(write.state, write.key) for commit in commits for write in commit.states}
        watching = [commit for commit in commits if commit.progress or commit.undecided or commit.waves]
        peek = self._peek
        self._is_watching = bool(watching)
        if watching:
            processes.update(commit.undecided for commit in watching)
            self._progress.look_up({row.process for commit in watching for row in commit.progress}, peek.progress)
            self._waves.look_up({row.process for commit in watching for row in commit.waves}, peek.waves)
        if states:
            self._stored_states |= {(state, key): version for state, key, version in peek.states(states)}
        self._stored |= {row[0]: row for row in peek.executions(executions - opened)}
        self._stored_processes |= {row[0]: row for row in peek.processes(processes - begun)}
        self._stored_doors |= {identity: (n, payload) for identity, n, payload in peek.doors(doors)}

    # Refusing.

    def _refusal(self, commit: Commit) -> Refusal | None:
        if (self.felled or self._refused_before) and self._descends_from_refused(commit.after):
            return Refusal(commit, RefusedBecause.FELLED)
        if commit.epoch != self._peek.epoch:
            return Refusal(commit, RefusedBecause.STALE_EPOCH)
        if self._is_watching and self._is_overtaken(commit):
            return Refusal(commit, RefusedBecause.CONFLICT)
        if commit.door is not None and (seen := self._seen_at_the_door(commit, commit.door)) is not None:
            return seen
        if commit.execution:
            return self._conflict(commit)
        return None

    def _descends_from_refused(self, after: tuple[int, ...]) -> bool:
        return not (self.felled.isdisjoint(after) and self._refused_before.isdisjoint(after))

    def _is_overtaken(self, commit: Commit) -> bool:
        """Whether a process has an outcome that must have none, or somebody else has said how far one has come."""
        begun, stored = self.processes.get(commit.undecided), self._stored_processes.get(commit.undecided)
        outcome = begun.outcome if begun is not None else stored and stored[OUTCOME]
        overtaken = self._progress.are_overtaken(commit.progress) or self._waves.are_overtaken(commit.waves)
        return bool(outcome) or overtaken

    def _seen_at_the_door(self, commit: Commit, door: Door) -> Refusal | None:
        known = self.doors.get(door.identity)
        stored = (known.n, known.payload) if known else self._stored_doors.get(door.identity)
        if stored is None:
            return None
        same = stored[0] if stored[1] == door.payload else None
        return Refusal(commit, RefusedBecause.DUPLICATE, existing=same)

    def _conflict(self, commit: Commit) -> Refusal | None:
        row = self._row(commit.execution)
        if isinstance(row, Obligation):
            conflicts = commit.expected != 0
        else:
            conflicts = row is None or row[STATUS] > OPEN_MAX or row[LENGTH] != commit.expected
        conflicts = conflicts or (bool(commit.also) and any(map(self._has_begun, commit.also)))
        if conflicts or (commit.states and any(new.expected != self._version(new) for new in commit.states)):
            return Refusal(commit, RefusedBecause.CONFLICT)
        return None

    def _version(self, write: StateWrite) -> int:
        place = (write.state, write.key)
        newest = self.states.get(place)
        return newest[0].version if newest is not None else self._stored_states.get(place, 0)

    def _has_begun(self, execution: int) -> bool:
        row = self._row(execution)
        return not isinstance(row, Obligation) and (row is None or row[STATUS] > OPEN_MAX or row[LENGTH] != 0)

    def _row(self, execution: int) -> Obligation | tuple[Any, ...] | None:
        return self.opened.get(execution) or self.changed.get(execution) or self._stored.get(execution)

    def _transact(self, commit: Commit, transaction: Transaction) -> Refusal | None:
        try:
            entry = self._peek.transact(transaction)
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
            if new.identity is not None:
                self.doors[new.identity] = Door(new.identity, b"", new.process)
        if commit.door is not None:
            self.doors[commit.door.identity] = commit.door
        if commit.notes is not None:
            self.notes.append(commit.notes)
        self.handlers += commit.handlers
        for write in commit.states:
            self.states[write.state, write.key] = (write, commit.execution, commit.ended)
        if self._is_watching:
            self._progress.put(commit.progress)
            self._waves.put(commit.waves)
        if commit.execution:
            self._settle(commit)
        processes = self.processes
        for event in commit.events:
            self.events.append(event)
            if event.type in self._decisive:
                self._note_outcome(event)
        for obligation in commit.opened:
            self.opened[obligation.execution] = obligation
            if obligation.gating:
                (processes.get(obligation.process) or self._process(obligation.process)).open += 1
        if commit.copied:
            fork, count = commit.opened[0], len(commit.copied)
            self.entries += [(fork.execution, at, encode_entry(entry)) for at, entry in enumerate(commit.copied)]
            if fork.gating and can_be_undone(commit.copied):
                self._decisions.began(self._process(fork.process), commit.ended)
            begun = (fork.execution, fork.process, 0, fork.gating, 0, count, self._peek.epoch)
            self.opened[fork.execution] = (*begun, 0, fork.due, 0, 0, 0, None, None)
        for mail in commit.mail:
            self.mail.append((mail.handler, mail.process, mail.n, mail.about))
        for receipt in commit.receipts:
            process = processes.get(receipt.process) or self._process(receipt.process)
            process.digest ^= int.from_bytes(receipt.delta, "big")
            if self._peek.partial:
                process.ended = receipt.ended  # should it be the one that closes it
            self._receipts[process.shard if self._peek.partial else receipt.process % SHARDS].append(receipt)

    def _settle(self, commit: Commit) -> None:
        execution = commit.execution
        row = self._row(execution)
        assert row is not None, "`_conflict` has seen it"
        if isinstance(row, Obligation):  # its process, and whether it counts, were settled when it was opened
            process, gating = row.process, row.gating
        else:
            process, gating = row[PROCESS], bool(row[GATING])
        length = commit.expected
        entries = commit.entries
        if commit.transaction is not None:
            entries = (*entries, self.results[commit.position])
        for entry in entries:
            self.entries.append((execution, length, encode_entry(entry)))
            length += 1
        self._replace(execution, process, commit, gating=gating, length=length)
        if gating and entries and can_be_undone(entries):
            self._decisions.began(self._process(process), commit.ended)
        if gating and commit.status == Status.REJECTED and not (commit.also or commit.events):  # told to nobody
            self._decisions.rejected(self._process(process), commit.ended)
        for member in commit.also:
            self._settle_member(member, commit)

    def _settle_member(self, execution: int, commit: Commit) -> None:
        row: Any = self._row(execution)  # `_conflict` has seen it
        known = (row.process, row.gating) if isinstance(row, Obligation) else (row[PROCESS], bool(row[GATING]))
        self._replace(execution, known[0], commit, gating=known[1], length=0)

    def _replace(self, execution: int, process: int, commit: Commit, *, gating: bool, length: int) -> None:
        rows: dict[int, Any] = self.opened if execution in self.opened else self.changed
        rows[execution] = (
            execution,
            process,
            commit.status,
            gating,
            commit.segment if execution == commit.execution else 0,
            length,
            commit.epoch,
            commit.attempts,
            commit.due,
            commit.started,
            commit.ended,
            commit.code,
            commit.waits,
            commit.error,
        )
        if gating and commit.status > OPEN_MAX:
            ledger = self._process(process)
            ledger.open -= 1
            if ledger.open == 0:  # the one that closes it says when, however the commits fell into batches
                ledger.ended = commit.ended

    def _process(self, process: int) -> ProcessRow:
        row = self.processes.get(process)
        if row is None:
            stored = self._stored_processes.get(process)
            if stored is None:  # no commit named it, as that of an execution which belongs to another process
                stored = next(iter(self._peek.processes((process,))), None)
            assert stored is not None, f"process {process} has no row: event of execution without a root"
            row = self.processes[process] = ProcessRow(stored)
        return row

    def _note_outcome(self, event: NewEvent) -> None:
        process = self._process(event.process)
        if process.outcome is None and process.declared is not None:
            process.outcome = self._peek.outcomes.get(process.declared, {}).get(event.type)
            if process.outcome is not None:
                self._decisions.ended(process, event, hlc_ms(event.hlc))

    # What is to be written.

    def opened_rows(self) -> list[tuple[Any, ...]]:
        """The execution rows to insert: what this batch opened, in its newest state."""
        epoch = self._peek.epoch
        return [
            (o.execution, o.process, 0, o.gating, 0, 0, epoch, 0, o.due, 0, 0, 0, None, None)
            if isinstance(o, Obligation)
            else o
            for o in self.opened.values()
        ]

    def state_rows(self) -> list[tuple[Any, ...]]:
        """The rows of keyed states to write: state, key, version, schema, data, who wrote it, when."""
        return [
            (write.state, write.key, write.version, write.schema, write.data, execution, changed)
            for write, execution, changed in self.states.values()
        ]

    def bundles(self) -> list[tuple[int, int, int, bytes]]:
        """The receipts to insert in bundles, mostly one a shard: shard, seq of the first, count, body. Call it once."""
        seqs, made = self.seqs, []
        for shard, receipts in self._receipts.items():
            for part, body in bundled(receipts):
                made.append((shard, seqs[shard] + 1, len(part), body))
                seqs[shard] += len(part)
        return made

    def close_ledger(self) -> list[tuple[Any, ...]]:
        """The process rows to write. A process with nothing open has ended; one with something open has not."""
        for row in self.processes.values():
            if row.open or (self._peek.partial and row.digest):
                row.ended = None
            elif row.ended is None:
                row.ended = row.started
        return [row.values() for row in self.processes.values()]
