"""Reading an SQLite store: pages of what is durable, on a connection that can only read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, final

from onstage.core.commit import Note, ProgressRow, WaveRow
from onstage.events.receipt import OPEN_MAX, decode_receipts
from onstage.ports.store import Bundle, EventView, ExecutionView, ProcessView, StateView, Stored
from onstage.stores.sqlite.offload import read_entry
from onstage.stores.sqlite.queries import query, select_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

__all__ = ["SqliteReader", "process_of"]

_NEWEST: Final = 1 << 62
_EXECUTION_COLUMNS: Final = len(ExecutionView.__struct_fields__)


@final
class SqliteReader:
    """The reading half of the store; other OS processes use it on its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Read through this connection."""
        self._connection = connection

    def _rows(self, name: str, bindings: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query(name), bindings).fetchall()

    async def event(self, n: int) -> EventView | None:
        """One event."""
        rows = self._rows("event", (n,))
        return EventView(*rows[0]) if rows else None

    async def events(
        self, *, process: int | None = None, type: str | None = None, after: int = 0, limit: int = 100
    ) -> list[EventView]:
        """Events in the order of their numbers, after number `after`."""
        bindings = {"process": process, "type": type, "after": after, "limit": limit}
        if process is None:
            del bindings["process"]
            return [EventView(*row) for row in self._rows("events", bindings)]
        return [EventView(*row) for row in self._rows("events_of_process", bindings)]

    async def execution(self, execution: int) -> Stored | None:
        """One execution with its event and journal."""
        rows = self._rows("execution", (execution,))
        if not rows:
            return None
        view, event = _execution(rows[0][:_EXECUTION_COLUMNS]), EventView(*rows[0][_EXECUTION_COLUMNS:])
        if view.length == 0:
            return Stored(view, event, ())
        entries = self._rows("entries", (execution,))
        return Stored(view, event, tuple(read_entry(self._connection, row[0]) for row in entries))

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
        numbers = None if statuses is None else [int(status) for status in statuses]
        wanted = None if numbers is None else json.dumps(numbers)
        bindings = {"statuses": wanted, "handler": handler, "after": after, "limit": limit}
        if process is not None:
            rows = self._rows("executions_of_process", bindings | {"process": process})
        else:
            assert max(numbers or (), default=0) <= OPEN_MAX, "ended executions are read by process"
            rows = self._rows("open_executions", bindings)
        return [_execution(row) for row in rows]

    async def ahead(self, execution: int, *, statuses: Iterable[int], field: str | None = None) -> ExecutionView | None:
        """The first earlier execution of the same handler and lane that is set aside."""
        path = None if field is None else f"$.{json.dumps(field)}"
        wanted = json.dumps([int(status) for status in statuses])
        rows = self._rows("ahead", {"execution": execution, "statuses": wanted, "path": path})
        return _execution(rows[0]) if rows else None

    async def manifest(self, topology: int | None = None) -> bytes:
        """The manifest of a topology epoch, or of the newest one."""
        rows = self._rows("manifest", {"topology": topology})
        return bytes(rows[0][0]) if rows else b""

    async def process(self, process: int) -> ProcessView | None:
        """One process."""
        rows = self._rows("process", (process,))
        return process_of(rows[0]) if rows else None

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
        bindings = {"declared": declared, "before": _NEWEST if before is None else before, "limit": limit}
        if key is not None:
            rows = self._rows("processes_by_key", bindings | {"key": key, "open_only": open_only})
        else:
            rows = self._rows("open_processes" if open_only else "processes", bindings)
        return [process_of(row) for row in rows]

    async def receipts(self, *, after: int = 0, limit: int = 1000) -> list[Bundle]:
        """Receipts in bundles, those of one shard in commit order."""
        return [
            Bundle(position, epoch, shard, seq, decode_receipts(body))
            for position, epoch, shard, seq, body in self._rows("receipts", {"after": after, "limit": limit})
        ]

    async def mail(self, handler: int, process: int, *, after: int = 0, limit: int = 100) -> list[EventView]:
        """The mailbox of one handler for one process."""
        bindings = {"handler": handler, "process": process, "after": after, "limit": limit}
        return [EventView(*row) for row in self._rows("mail", bindings)]

    async def answer(self, about: int) -> EventView | None:
        """The first letter about one event."""
        rows = self._rows("answer", {"about": about})
        return EventView(*rows[0]) if rows else None

    async def unread(self, *, after: int = 0, limit: int = 1000) -> list[int]:
        """Waiting executions that have mail."""
        return [row[0] for row in self._rows("unread", {"after": after, "limit": limit})]

    async def doors(self, identities: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """What was admitted under these identities."""
        rows = select_many(self._connection, "peek_doors", identities)
        return {identity: (n, payload) for identity, n, payload in rows}

    async def notes(self, topic: str, *, after: int = -1, newest_first: bool = False, limit: int = 100) -> list[Note]:
        """What the node keeps under this topic."""
        name = "newest_notes" if newest_first else "notes"
        return [Note(*row) for row in self._rows(name, {"topic": topic, "after": after, "limit": limit})]

    async def state(self, state: str, key: str) -> StateView | None:
        """One keyed state."""
        rows = self._rows("state", (state, key))
        return StateView(*rows[0]) if rows else None

    async def states(
        self, *, state: str | None = None, key: str | None = None, after: tuple[str, str] = ("", ""), limit: int = 100
    ) -> list[StateView]:
        """Keyed states in the order of (state, key)."""
        bindings = {"state": state, "key": key, "after_state": after[0], "after_key": after[1], "limit": limit}
        return [StateView(*row) for row in self._rows("states" if key is None else "states_of_key", bindings)]

    async def newest_receipt(self) -> int:
        """The position of the newest bundle of receipts."""
        return int(self._rows("newest_receipt", ())[0][0])

    async def progress(self, processes: Sequence[int]) -> list[ProgressRow]:
        """How far these processes have come."""
        rows = select_many(self._connection, "progress", sorted(set(processes)))
        return sorted((ProgressRow(*row) for row in rows), key=lambda row: row.process)

    async def progress_due(self, until: int | None = None, *, limit: int = 100) -> list[ProgressRow]:
        """Rows that are due, the earliest first."""
        bindings = {"until": _NEWEST if until is None else until, "limit": limit}
        return [ProgressRow(*row) for row in self._rows("progress_due", bindings)]

    async def waves(
        self, processes: Sequence[int] | None = None, *, after: int = 0, limit: int = 1000, open_only: bool = False
    ) -> list[WaveRow]:
        """Which processes are undone, or must not be."""
        if processes is None:
            name = "open_waves" if open_only else "all_waves"
            return [WaveRow(*row) for row in self._rows(name, {"after": after, "limit": limit})]
        rows = select_many(self._connection, "waves", sorted(set(processes)))
        return sorted((WaveRow(*row) for row in rows), key=lambda row: row.process)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close(True)


def _execution(row: tuple[Any, ...]) -> ExecutionView:
    values = list(row)
    values[4] = bool(values[4])
    values[13] = tuple(values[13].split(" ")) if values[13] else ()
    return ExecutionView(*values)


def process_of(row: tuple[Any, ...]) -> ProcessView:
    """The process that a row of its table holds."""
    identity, wire_id, declared, key, digest, *rest = row
    return ProcessView(identity, wire_id, declared, key, int.from_bytes(digest, "big"), *rest)
