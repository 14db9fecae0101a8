"""The memory store: the same port in dictionaries, for tests and for trying things out. It forgets at exit.

Everything runs on the loop: a batch is worked out by the same `Batch` and awaited through the same `Window` as in the
SQLite store, one turn of the loop after `flush`. `open` after `close` or `abandon` finds the data again, so that a
restart can be played inside one process.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from onstage.core.commit import Note, Refusal, RefusedBecause, event_of, handler_of
from onstage.core.journal import Entry, decode_entry
from onstage.errors import NodeRunning, UsageError
from onstage.events.receipt import OPEN_MAX, Status, decode_receipts
from onstage.ports.store import BatchOutcome, Bundle, EventView, ExecutionView, Features, Opened, ProcessView, Stored
from onstage.stores.batch import LENGTH, SHARDS, STATUS, Batch
from onstage.stores.names import interned, retired
from onstage.stores.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from onstage.core.commit import Commit, NewEvent, Notes, Transaction
    from onstage.ports.clock import Clock
    from onstage.ports.store import Declaration
    from onstage.ports.workers import Workers

__all__ = ["MemoryReader", "MemoryStore"]

T = TypeVar("T")

_NO_TRANSACTIONS: Final = (
    "the memory store has no transactions\n  why: it has no tables that a @transaction function could write to\n"
    "  to do: use an SQLite store (sqlite:///file.db)"
)


@final
class _Rows:
    """What is durable, as far as memory is."""

    def __init__(self) -> None:
        self.events: dict[int, NewEvent] = {}
        self.executions: dict[int, tuple[Any, ...]] = {}
        self.open: set[int] = set()
        self.entries: dict[int, list[bytes]] = {}
        self.processes: dict[int, tuple[Any, ...]] = {}
        self.open_processes: set[int] = set()
        self.mail: dict[tuple[int, int], list[int]] = {}
        self.doors: dict[bytes, tuple[int, bytes]] = {}
        self.notes: dict[str, dict[int, bytes]] = {}
        self.receipts: list[tuple[int, int, int, int, bytes]] = []
        # Numbers in order, kept up to date by commits that come almost in order.
        self.log: list[int] = []
        self.events_of: dict[int, list[int]] = {}
        self.executions_of: dict[int, list[int]] = {}
        self.roots: list[int] = []
        self.by_key: dict[str, list[int]] = {}
        # Names.
        self.types: dict[tuple[str, int], int] = {}
        self.type_names: dict[int, tuple[str, int]] = {}
        self.handlers: dict[str, int] = {}
        self.handler_names: dict[int, str] = {}
        self.handlers_ever = 0
        self.incarnations: list[tuple[int, str]] = []
        self.topologies: list[tuple[str, bytes]] = []
        self.store = ""
        self.hlc = 0

    def check(self, batch: Batch) -> None:
        """Raises ValueError for rows that exist already, before anything is written."""
        numbers = [event.n for event in batch.events]
        if len(set(numbers)) < len(numbers) or not self.events.keys().isdisjoint(numbers):
            raise ValueError(f"an event number of {numbers} is taken")
        letters = set(batch.mail)
        if len(letters) < len(batch.mail) or any(n in self.mail.get((h, p), ()) for h, p, n in letters):
            raise ValueError(f"a letter of {batch.mail} is in its mailbox already")

    def write(self, batch: Batch) -> None:
        """Write all rows of a batch that passed `check`."""
        for event in batch.events:
            self.events[event.n] = event
            insort(self.log, event.n)
            insort(self.events_of.setdefault(event.process, []), event.n)
        for row in (*batch.opened_rows(), *batch.changed.values()):
            self._write_execution(row)
        for execution, place, body in batch.entries:
            journal = self.entries.setdefault(execution, [])
            assert place == len(journal), "the journal's length was checked against the row's"
            journal.append(body)
        for handler, process, n in batch.mail:
            insort(self.mail.setdefault((handler, process), []), n)
        for door in batch.doors.values():
            self.doors[door.identity] = (door.n, door.payload)
        for notes in batch.notes:
            self._write_notes(notes)
        epoch = len(self.incarnations)
        for shard, seq, _, body in batch.bundles():
            self.receipts.append((len(self.receipts) + 1, epoch, shard, seq, body))
        for values in batch.close_ledger():
            self._write_process(values)
        self.hlc = max(self.hlc, batch.hlc)

    def _write_notes(self, notes: Notes) -> None:
        for topic, first, last in notes.dropped:
            kept = self.notes.get(topic, {})
            self.notes[topic] = {number: body for number, body in kept.items() if not first <= number <= last}
        for note in notes.kept:
            self.notes.setdefault(note.topic, {})[note.number] = note.body

    def _write_execution(self, row: tuple[Any, ...]) -> None:
        number = row[0]
        if number not in self.executions:
            insort(self.executions_of.setdefault(row[1], []), number)
        self.executions[number] = row
        (self.open.add if row[STATUS] <= OPEN_MAX else self.open.discard)(number)

    def _write_process(self, values: tuple[Any, ...]) -> None:
        number, key, still_open = values[0], values[3], values[5]
        if number not in self.processes:
            insort(self.roots, number)
            if key is not None:
                insort(self.by_key.setdefault(key, []), number)
        self.processes[number] = values
        (self.open_processes.add if still_open else self.open_processes.discard)(number)


@final
class MemoryReader:
    """The reading half of the memory store. Give it the rows of a `MemoryStore`."""

    def __init__(self, rows: _Rows) -> None:
        """Read these rows."""
        self._rows = rows

    async def event(self, n: int) -> EventView | None:
        """One event."""
        return self._event(n) if n in self._rows.events else None

    async def events(
        self, *, process: int | None = None, type: str | None = None, after: int = 0, limit: int = 100
    ) -> list[EventView]:
        """Events in the order of their numbers, after number `after`."""
        numbers = self._rows.log if process is None else self._rows.events_of.get(process, [])
        views = map(self._event, _behind(numbers, after))
        return _page((view for view in views if type is None or view.type == type), limit)

    async def execution(self, execution: int) -> Stored | None:
        """One execution with its event and journal."""
        row, event = self._rows.executions.get(execution), await self.event(event_of(execution))
        if row is None or event is None:
            return None
        return Stored(self._execution(row), event, self._journal(execution))

    async def executions(
        self,
        *,
        process: int | None = None,
        statuses: Iterable[int] | None = None,
        handler: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[ExecutionView]:
        """Executions in the order of their numbers."""
        rows, wanted = self._rows, None if statuses is None else set(statuses)
        if process is None:
            assert max(wanted or (), default=0) <= OPEN_MAX, "ended executions are read by process"
        numbers = sorted(rows.open) if process is None else rows.executions_of.get(process, [])
        views = (self._execution(rows.executions[number]) for number in _behind(numbers, after))
        if wanted is not None:
            views = (view for view in views if view.status in wanted)
        return _page((view for view in views if handler is None or view.handler == handler), limit)

    async def ahead(self, execution: int, *, statuses: Iterable[int], field: str | None = None) -> ExecutionView | None:
        """The first earlier execution of the same handler and lane that is set aside."""
        rows, handler, wanted = self._rows, handler_of(execution), set(statuses)
        lane = self._event(event_of(execution)).lane(field) if execution in rows.executions else None
        earlier = (x for x in sorted(rows.open) if x < execution and handler_of(x) == handler)
        aside = (
            x for x in earlier if rows.executions[x][STATUS] in wanted and self._event(event_of(x)).lane(field) == lane
        )
        found = None if lane is None else next(aside, None)
        return None if found is None else self._execution(rows.executions[found])

    async def manifest(self, topology: int | None = None) -> bytes:
        """The manifest of a topology epoch, or of the newest one."""
        known = self._rows.topologies
        at = len(known) if topology is None else topology
        return known[at - 1][1] if 0 < at <= len(known) else b""

    async def process(self, process: int) -> ProcessView | None:
        """One process."""
        values = self._rows.processes.get(process)
        return None if values is None else _process(values)

    async def processes(
        self,
        *,
        key: str | None = None,
        declared: str | None = None,
        open_only: bool = False,
        before: int | None = None,
        limit: int = 100,
    ) -> list[ProcessView]:
        """Processes, the newest first."""
        rows = self._rows
        numbers = rows.roots if key is None else rows.by_key.get(key, [])
        if open_only and key is None:
            numbers = sorted(rows.open_processes)
        newest = reversed(numbers)
        earlier = (_process(rows.processes[number]) for number in newest if before is None or number < before)
        wanted = (view for view in earlier if declared is None or view.declared == declared)
        return _page((view for view in wanted if view.open or not open_only), limit)

    async def receipts(self, *, after: int = 0, limit: int = 1000) -> list[Bundle]:
        """Receipts in bundles, those of one shard in commit order."""
        page = self._rows.receipts[after : after + limit]
        return [Bundle(*row[:-1], decode_receipts(row[-1])) for row in page]

    async def mail(self, handler: int, process: int, *, after: int = 0, limit: int = 100) -> list[EventView]:
        """The mailbox of one handler for one process."""
        letters = self._rows.mail.get((handler, process), [])
        return _page(map(self._event, _behind(letters, after)), limit)

    async def unread(self, *, after: int = 0, limit: int = 1000) -> list[int]:
        """Waiting executions that have mail."""
        rows = self._rows
        waiting = (x for x in _behind(sorted(rows.open), after) if rows.executions[x][STATUS] == Status.WAITING)
        return _page((x for x in waiting if (handler_of(x), rows.executions[x][1]) in rows.mail), limit)

    async def doors(self, identities: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """What was admitted under these identities."""
        known = self._rows.doors
        return {identity: known[identity] for identity in identities if identity in known}

    async def notes(self, topic: str, *, after: int = -1, newest_first: bool = False, limit: int = 100) -> list[Note]:
        """What the node keeps under this topic."""
        kept = self._rows.notes.get(topic, {})
        numbers = sorted((number for number in kept if newest_first or number > after), reverse=newest_first)
        return [Note(topic, number, kept[number]) for number in numbers[:limit]]

    def _event(self, n: int) -> EventView:
        e = self._rows.events[n]
        name, version = self._rows.type_names[e.type]
        return EventView(n, e.process, name, version, e.key, e.cause, e.hlc, e.topology, e.data, e.extra)

    def _execution(self, row: tuple[Any, ...]) -> ExecutionView:
        values = [*row[:2], self._rows.handler_names[handler_of(row[0])], *row[2:]]
        values[4] = bool(values[4])
        values[13] = tuple(values[13].split(" ")) if values[13] else ()
        return ExecutionView(*values)

    def _journal(self, execution: int) -> tuple[Entry, ...]:
        return tuple(map(decode_entry, self._rows.entries.get(execution, ())))


@final
class MemoryStore:
    """A store that forgets at exit. `open` after `close` or `abandon` finds the data again; a second one is empty."""

    features = Features(transactions=False, survives_restart=False, reads_from_other_processes=False)

    def __init__(self, *, clock: Clock, workers: Workers) -> None:
        """Begin empty."""
        self.on_batch: Callable[[BatchOutcome], None] = lambda _: None
        self.trouble: str | None = None
        self.epoch = 0
        self.outcomes: dict[str, dict[int, str]] = {}
        self.partial = False
        self._clock = clock
        self._workers = workers
        self._rows = _Rows()
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

    def transact(self, transaction: Transaction) -> Entry:
        """There are no transactions here: raises UsageError, which refuses the commit."""
        raise UsageError(_NO_TRANSACTIONS)


def _behind(numbers: list[int], after: int) -> Iterator[int]:
    return iter(numbers[bisect_right(numbers, after) :])


def _page(found: Iterable[T], limit: int) -> list[T]:
    return list(islice(found, limit))


def _process(values: tuple[Any, ...]) -> ProcessView:
    identity, wire_id, declared, key, digest, *rest = values
    return ProcessView(identity, wire_id, declared, key, int.from_bytes(digest, "big"), *rest)
