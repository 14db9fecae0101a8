"""The memory store: the same port in dictionaries, for tests and for trying things out. It forgets at exit.

Everything runs on the loop: a batch is worked out by the same `Batch` and awaited through the same `Window` as in the
SQLite store, one turn of the loop after `flush`. `open` after `close` or `abandon` finds the data again, so that a
restart can be played inside one process.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from onstage.core.commit import Refusal, RefusedBecause
from onstage.core.journal import Entry
from onstage.errors import NodeRunning, UsageError
from onstage.ports.store import BatchOutcome, Features, Opened, payload_bytes_max
from onstage.stores.batch import LENGTH, Batch
from onstage.stores.memory_rows import MemoryReader, MemoryRows
from onstage.stores.names import interned, retired, undoing_numbers
from onstage.stores.process_row import SHARDS
from onstage.stores.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from onstage.core.commit import Commit, Transaction
    from onstage.ports.clock import Clock
    from onstage.ports.store import Declaration
    from onstage.ports.workers import Workers

__all__ = ["MemoryStore"]

T = TypeVar("T")

_NO_TRANSACTIONS: Final = (
    "the memory store has no transactions\n  why: it has no tables that a @transaction function could write to\n"
    "  to do: use an SQLite store (sqlite:///file.db)"
)


@final
class MemoryStore:
    """A store that forgets at exit. `open` after `close` or `abandon` finds the data again; a second one is empty."""

    def __init__(self, *, clock: Clock, workers: Workers, offload_above: int | None = None) -> None:
        """Begin empty. `offload_above` lets payloads be larger, as on SQLite; in memory they stay where they are."""
        self.features = Features(
            transactions=False,
            survives_restart=False,
            reads_from_other_processes=False,
            payload_bytes_max=payload_bytes_max(offload_above),
        )
        self.on_batch: Callable[[BatchOutcome], None] = lambda _: None
        self.trouble: str | None = None
        self.epoch = 0
        self.outcomes: dict[str, dict[int, str]] = {}
        self.undoing: dict[str, frozenset[int]] = {}
        self.partial = False
        self._clock = clock
        self._workers = workers
        self._rows = MemoryRows()
        self.reader = MemoryReader(self._rows)
        self._is_open = False
        self._begin()

    def _begin(self) -> None:
        self._window = Window(self._hand_over)
        self.append: Callable[[Commit], int] = self._window.append
        self.flush: Callable[[], None] = self._window.flush
        self.durable = self._window.durable
        self._queue: list[Commit] = []
        self._felled: set[int] = set()
        self._seqs = [0] * SHARDS
        self._counts = {"batches": 0, "commits": 0, "refused": 0}

    # Opening and closing.

    async def open(self, declaration: Declaration) -> Opened:
        """Record a new incarnation and intern names. Raises NodeRunning if this store is open."""
        if self._is_open:
            raise NodeRunning("this memory store is open\n  why: one node writes to a store\n  to do: close it first")
        rows = self._rows
        handlers, rows.handlers_ever = interned(rows.handlers, declaration.handlers, rows.handlers_ever)
        rows.handlers = handlers
        self._is_open = True
        self._begin()
        rows.store = rows.store or self._clock.token(5).hex()
        self.epoch += 1
        first = max([rows.log[-1] + 1 if rows.log else 1, *(first for first, _ in rows.incarnations)])
        rows.incarnations.append((first, self._clock.token(5).hex()))
        digest = blake2b(declaration.manifest, digest_size=16).hexdigest()
        if not rows.topologies or rows.topologies[-1][0] != digest:
            rows.topologies.append((digest, declaration.manifest))
        for key in declaration.types:
            rows.types.setdefault(key, len(rows.types) + 1)
        rows.type_names = {number: key for key, number in rows.types.items()}
        rows.handler_names = {number: name for name, number in handlers.items()}
        self.partial = declaration.partial
        self.outcomes = {
            process: {number: name for (name, _), number in rows.types.items() if name in names}
            for process, names in declaration.outcomes.items()
        }
        self.undoing = undoing_numbers(declaration, rows.types)
        marks = (first, rows.hlc, self.epoch, len(rows.topologies))
        retired_now = retired(handlers, declaration.handlers)
        return Opened(rows.store, tuple(rows.incarnations), *marks, dict(rows.types), dict(handlers), retired_now)

    async def close(self) -> None:
        """Apply what was appended, then close. Safe to call twice."""
        self.flush()
        self._drain(self._window)
        self.abandon("the store was closed")

    def abandon(self, why: str = "the node was killed") -> None:
        """Forget what is not durable yet, as a killed process would. For simulated crashes."""
        self._window.close(why)
        self._is_open = False

    # Running.

    @property
    def undurable(self) -> int:
        """How many commits are appended and not yet durable."""
        return self._window.undurable

    @property
    def appended(self) -> int:
        """The position of the newest commit."""
        return self._window.appended

    def statistics(self) -> Mapping[str, int]:
        """Counters since `open`."""
        return dict(self._counts)

    def _hand_over(self, commits: list[Commit]) -> None:
        self._queue += commits
        window = self._window
        self._workers.post(lambda: self._drain(window))

    def _drain(self, window: Window) -> None:
        if window is not self._window or window.closed is not None or not self._queue:
            return
        commits, self._queue = self._queue, []
        try:
            outcomes = [self._write(commits)]
        except Exception:  # noqa: BLE001  one commit's fault: find it
            outcomes = [self._write_alone(commit) for commit in commits]
        for outcome in outcomes:
            self._counts["batches"] += 1
            self._counts["refused"] += len(outcome.refused)
            window.settle(outcome)
            self.on_batch(outcome)
        self._counts["commits"] += len(commits)

    def _write(self, commits: list[Commit]) -> BatchOutcome:
        batch = Batch(self, self._felled, self._seqs)
        batch.add(commits)
        self._rows.check(batch)
        self._rows.write(batch)
        self._felled |= batch.felled
        self._seqs = batch.seqs
        return batch.outcome()

    def _write_alone(self, commit: Commit) -> BatchOutcome:
        try:
            return self._write([commit])
        except Exception as error:  # noqa: BLE001  this is the one
            self._felled.add(commit.position)
            return BatchOutcome(commit.position, [Refusal(commit, RefusedBecause.USER, error)], {}, [])

    # What a batch asks for.

    def executions(self, ids: Collection[int]) -> list[tuple[Any, ...]]:
        """The stored rows of executions."""
        rows = [self._rows.executions[x] for x in ids if x in self._rows.executions]
        assert all(row[LENGTH] == len(self._rows.entries.get(row[0], ())) for row in rows), "row and journal agree"
        return rows

    def processes(self, ids: Collection[int]) -> list[tuple[Any, ...]]:
        """The stored rows of processes."""
        return [self._rows.processes[n] for n in ids if n in self._rows.processes]

    def doors(self, identities: Collection[bytes]) -> list[tuple[bytes, int, bytes]]:
        """What was admitted under identities."""
        return [(i, *self._rows.doors[i]) for i in identities if i in self._rows.doors]

    def states(self, wanted: Collection[tuple[str, str]]) -> list[tuple[str, str, int]]:
        """The versions of keyed states."""
        return [(*place, self._rows.states[place].version) for place in wanted if place in self._rows.states]

    def progress(self, processes: Collection[int]) -> list[tuple[int, int]]:
        """The versions of rows of progress."""
        return [(n, self._rows.progress[n].version) for n in processes if n in self._rows.progress]

    def waves(self, processes: Collection[int]) -> list[tuple[int, int]]:
        """The versions of rows that say whether processes are undone."""
        return [(n, self._rows.waves[n].version) for n in processes if n in self._rows.waves]

    def transact(self, transaction: Transaction) -> Entry:
        """There are no transactions here: raises UsageError, which refuses the commit."""
        raise UsageError(_NO_TRANSACTIONS)
