"""What a memory store holds, in dictionaries, and the reading half of its port."""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, final

from onstage.core.commit import Note, event_of, handler_of
from onstage.core.journal import Entry, decode_entry
from onstage.core.undoing import COMPENSATING
from onstage.events.receipt import OPEN_MAX, Status, decode_receipts
from onstage.ports.store import Bundle, EventView, ExecutionView, ProcessView, StateView, Stored
from onstage.stores.batch import STATUS, Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from onstage.core.commit import NewEvent, Notes, ProgressRow, WaveRow

__all__ = ["MemoryReader", "MemoryRows"]

T = TypeVar("T")


@final
class MemoryRows:
    """What is durable, as far as memory is."""

    def __init__(self) -> None:
        self.events: dict[int, NewEvent] = {}
        self.executions: dict[int, tuple[Any, ...]] = {}
        self.open: set[int] = set()
        self.entries: dict[int, list[bytes]] = {}
        self.processes: dict[int, tuple[Any, ...]] = {}
        self.open_processes: set[int] = set()
        self.mail: dict[tuple[int, int], list[int]] = {}
        self.replies: dict[tuple[int, int], set[int]] = {}  # letters that are about an event
        self.about: dict[int, list[int]] = {}
        self.doors: dict[bytes, tuple[int, bytes]] = {}
        self.notes: dict[str, dict[int, bytes]] = {}
        self.states: dict[tuple[str, str], StateView] = {}
        self.progress: dict[int, ProgressRow] = {}
        self.waves: dict[int, WaveRow] = {}
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
        letters = {(h, p, n) for h, p, n, _ in batch.mail}
        if len(letters) < len(batch.mail) or any(self._has_letter(*letter) for letter in letters):
            raise ValueError(f"a letter of {batch.mail} is in its mailbox already")

        taken = [new for new in batch.handlers if new.name in self.handlers or new.number in self.handler_names]
        if taken or len({new.number for new in batch.handlers}) < len(batch.handlers):
            raise ValueError(f"a handler's number or name is taken: {taken}")

    def _has_letter(self, handler: int, process: int, n: int) -> bool:
        place = (handler, process)
        return n in self.mail.get(place, ()) or n in self.replies.get(place, ())

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
        for handler, process, n, about in batch.mail:
            if about:
                self.replies.setdefault((handler, process), set()).add(n)
                insort(self.about.setdefault(about, []), n)
            else:
                insort(self.mail.setdefault((handler, process), []), n)
        for door in batch.doors.values():
            self.doors[door.identity] = (door.n, door.payload)
        for notes in batch.notes:
            self._write_notes(notes)
        for new in batch.handlers:
            self.handlers[new.name], self.handler_names[new.number] = new.number, new.name
            self.handlers_ever = max(self.handlers_ever, new.number)
        self.states |= {(row[0], row[1]): StateView(*row) for row in batch.state_rows()}
        self.progress |= batch.progress
        self.waves |= batch.waves
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

    def __init__(self, rows: MemoryRows) -> None:
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

    async def answer(self, about: int) -> EventView | None:
        """The first letter about one event."""
        letters = self._rows.about.get(about)
        return self._event(letters[0]) if letters else None

    async def unread(self, *, after: int = 0, limit: int = 1000) -> list[int]:
        """Waiting executions that have mail."""
        rows = self._rows
        waiting = (x for x in _behind(sorted(rows.open), after) if rows.executions[x][STATUS] == Status.WAITING)
        places = ((x, (handler_of(x), rows.executions[x][1])) for x in waiting)
        return _page((x for x, place in places if place in rows.mail or place in rows.replies), limit)

    async def doors(self, identities: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """What was admitted under these identities."""
        known = self._rows.doors
        return {identity: known[identity] for identity in identities if identity in known}

    async def notes(self, topic: str, *, after: int = -1, newest_first: bool = False, limit: int = 100) -> list[Note]:
        """What the node keeps under this topic."""
        kept = self._rows.notes.get(topic, {})
        numbers = sorted((number for number in kept if newest_first or number > after), reverse=newest_first)
        return [Note(topic, number, kept[number]) for number in numbers[:limit]]

    async def state(self, state: str, key: str) -> StateView | None:
        """One keyed state."""
        return self._rows.states.get((state, key))

    async def states(
        self, *, state: str | None = None, key: str | None = None, after: tuple[str, str] = ("", ""), limit: int = 100
    ) -> list[StateView]:
        """Keyed states in the order of (state, key)."""
        of_state = (row for place, row in sorted(self._rows.states.items()) if place > after)
        wanted = (row for row in of_state if state in (None, row.state) and key in (None, row.key))
        return _page(wanted, limit)

    async def newest_receipt(self) -> int:
        """The position of the newest bundle of receipts."""
        return len(self._rows.receipts)

    async def progress(self, processes: Sequence[int]) -> list[ProgressRow]:
        """How far these processes have come."""
        return [self._rows.progress[n] for n in sorted(set(processes)) if n in self._rows.progress]

    async def progress_due(self, until: int | None = None, *, limit: int = 100) -> list[ProgressRow]:
        """Rows that are due, the earliest first."""
        dues = ((row.due, row.process, row) for row in self._rows.progress.values() if row.due is not None)
        return _page((row for due, _, row in sorted(dues, key=_first_two) if until is None or due <= until), limit)

    async def waves(
        self, processes: Sequence[int] | None = None, *, after: int = 0, limit: int = 1000, open_only: bool = False
    ) -> list[WaveRow]:
        """Which processes are undone, or must not be."""
        rows = self._rows.waves
        if processes is None:
            wanted = (n for n in sorted(rows) if n > after and (not open_only or rows[n].state == COMPENSATING))
            return [rows[n] for n in wanted][:limit]
        return [rows[n] for n in sorted(set(processes)) if n in rows]

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


def _first_two(row: tuple[int, int, Any]) -> tuple[int, int]:
    return row[:2]


def _behind(numbers: list[int], after: int) -> Iterator[int]:
    return iter(numbers[bisect_right(numbers, after) :])


def _page(found: Iterable[T], limit: int) -> list[T]:
    return list(islice(found, limit))


def _process(values: tuple[Any, ...]) -> ProcessView:
    identity, wire_id, declared, key, digest, *rest = values
    return ProcessView(identity, wire_id, declared, key, int.from_bytes(digest, "big"), *rest)
