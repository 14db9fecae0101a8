"""A read-only view of a file, for checks that ask no engine. Make one for each look: it keeps what it has read."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, final

import msgspec

from onstage.core.commit import handler_of
from onstage.core.identity import Identity
from onstage.core.journal import Valued
from onstage.events.receipt import OPEN_MAX, decode_receipts
from onstage.testing.checks.stored_payloads import StoredPayloads

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.events.receipt import Receipt
    from onstage.ports.payload_codec import PayloadCodec

__all__ = ["EventRow", "ExecutionRow", "ReceiptRow", "Rows", "StoredFile"]


class Rows(Protocol):
    """Answers a query with all its rows."""

    def __call__(self, sql: str, *bindings: Any) -> list[tuple[Any, ...]]:
        """Run it on what is durable now."""
        ...


class EventRow(NamedTuple):
    """One event of the log, without its data."""

    process: int
    type: str
    key: str | None
    cause: int
    hlc: int
    version: int = 1


class ExecutionRow(NamedTuple):
    """One obligation, as far as checks need it."""

    process: int
    status: int
    gating: bool
    length: int

    @property
    def is_open(self) -> bool:
        """Whether something of it is still to happen."""
        return self.status <= OPEN_MAX


class ReceiptRow(NamedTuple):
    """One receipt and its place among all."""

    epoch: int
    shard: int
    seq: int
    receipt: Receipt


@final
class StoredFile:
    """What stands in the tables."""

    def __init__(self, rows: Rows, codec: PayloadCodec | None = None) -> None:
        """Through these queries; with the `codec` that payloads were sealed with, if they were."""
        self.rows = rows
        self._payloads = StoredPayloads(rows, codec)

    @cached_property
    def events(self) -> dict[int, EventRow]:
        """By number, in the order of the log."""
        sql = (
            "select e.n, e.process, t.name, e.key, e.cause, e.hlc, t.version from onstage_event e"
            " join onstage_type t on t.id = e.type order by e.n"
        )
        return {n: EventRow(*rest) for n, *rest in self.rows(sql)}

    @cached_property
    def caused(self) -> dict[int, list[int]]:
        """The events that each execution emitted."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for n, event in self.events.items():
            found[event.cause].append(n)
        return found

    @cached_property
    def payloads(self) -> dict[int, bytes]:
        """The data of each event."""
        rows = self.rows("select n, data from onstage_event")
        return {n: self._payloads.event(data, n, self.events[n].process, self.events[n].type) for n, data in rows}

    @cached_property
    def executions(self) -> dict[int, ExecutionRow]:
        """By number."""
        sql = "select id, process, status, gating, length from onstage_execution order by id"
        return {x: ExecutionRow(*rest) for x, *rest in self.rows(sql)}

    @cached_property
    def handlers(self) -> dict[int, str]:
        """Names by number."""
        return dict(self.rows("select id, name from onstage_handler"))

    @cached_property
    def places(self) -> dict[int, list[int]]:
        """Which places of each execution's journal are there."""
        return {x: [place for place, _ in entries] for x, entries in self._placed.items()}

    @cached_property
    def journals(self) -> dict[int, list[Entry]]:
        """The entries of each execution that has any, in their order."""
        return {x: [entry for _, entry in entries] for x, entries in self._placed.items()}

    @cached_property
    def _placed(self) -> dict[int, list[tuple[int, Entry]]]:
        found: defaultdict[int, list[tuple[int, Entry]]] = defaultdict(list)
        sql = "select execution, place, body from onstage_entry order by execution, place"
        for execution, place, body in self.rows(sql):
            found[execution].append((place, self._payloads.entry(execution, body)))
        return found

    @cached_property
    def receipts(self) -> list[ReceiptRow]:
        """All receipts, in the order in which they were written."""
        sql = "select epoch, shard, seq, body from onstage_receipt order by position"
        return [
            ReceiptRow(epoch, shard, seq, receipt)
            for epoch, shard, first, body in self.rows(sql)
            for seq, receipt in enumerate(decode_receipts(body), first)
        ]

    @cached_property
    def waves(self) -> list[tuple[int, str, bytes]]:
        """The process, state and body of each undo; none in a file whose migrations have not come that far."""
        if not self.rows("select 1 from sqlite_master where name = 'onstage_wave'"):
            return []
        return [(process, state, body) for process, _, state, body in self.rows("select * from onstage_wave")]

    @cached_property
    def wires(self) -> dict[str, int]:
        """The numbers of events by their public ids."""
        (store,) = self.rows("select value from onstage_meta where name = 'store'")[0]
        firsts = tuple(self.rows("select first_n, name from onstage_incarnation order by epoch"))
        wire = Identity(store, firsts).wire
        return {wire(n): n for n in self.events}

    def payload_of_state(self, data: bytes | str | None, *place: Any) -> bytes | None:
        """The value of a keyed state as it stands in its row; the place is its name, key and version."""
        return self._payloads.state(data, *place)

    def notes_of(self, *topics: str) -> list[tuple[str, bytes]]:
        """Topic and body of each note of these topics."""
        rows = [each for topic in topics for each in self.rows("select * from onstage_note where topic = ?", topic)]
        return [(topic, self._payloads.note(body, topic, number)) for topic, number, body in rows]

    def batch_of(self, execution: int) -> set[int]:
        """An execution, and those that it handles together with its own."""
        sql = "select body from onstage_entry where execution = ? and place = 0"
        for (body,) in self.rows(sql, execution):
            entry = self._payloads.entry(execution, body)
            if isinstance(entry, Valued) and entry.position == "batch#0":
                return {execution, *msgspec.json.decode(entry.value, type=list[int])}
        return {execution}

    def handler_of(self, execution: int) -> str:
        """Whose execution it is."""
        return self.handlers[handler_of(execution)]
