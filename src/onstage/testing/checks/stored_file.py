"""A read-only view of a file, for checks that ask no engine. Make one for each look: it keeps what it has read."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, final

from onstage.core.commit import handler_of
from onstage.core.identity import Identity
from onstage.core.journal import decode_entry
from onstage.events.receipt import OPEN_MAX, decode_receipts

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.events.receipt import Receipt

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

    def __init__(self, rows: Rows) -> None:
        """Through these queries."""
        self.rows = rows

    @cached_property
    def events(self) -> dict[int, EventRow]:
        """By number, in the order of the log."""
        sql = (
            "select e.n, e.process, t.name, e.key, e.cause, e.hlc from onstage_event e"
            " join onstage_type t on t.id = e.type order by e.n"
        )
        return {n: EventRow(*rest) for n, *rest in self.rows(sql)}

    @cached_property
    def payloads(self) -> dict[int, bytes]:
        """The data of each event."""
        return dict(self.rows("select n, data from onstage_event"))

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
            found[execution].append((place, decode_entry(body)))
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
    def wires(self) -> dict[str, int]:
        """The numbers of events by their public ids."""
        (store,) = self.rows("select value from onstage_meta where name = 'store'")[0]
        firsts = tuple(self.rows("select first_n, name from onstage_incarnation order by epoch"))
        wire = Identity(store, firsts).wire
        return {wire(n): n for n in self.events}

    def handler_of(self, execution: int) -> str:
        """Whose execution it is."""
        return self.handlers[handler_of(execution)]
