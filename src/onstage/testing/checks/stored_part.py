"""A store of one service, or of an observer, seen by public ids and names: what several stores can be compared by."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, final

import msgspec

from onstage.core.commit import event_of, handler_of
from onstage.core.identity import Identity
from onstage.testing.checks.stored_file import StoredFile

if TYPE_CHECKING:
    from onstage.testing.checks.stored_file import Rows

__all__ = ["ProcessPart", "PublicEvent", "StoredPart", "process_in"]


class PublicEvent(NamedTuple):
    """One event as every store knows it; `cause` is (public id of an event, handler), None for one from outside."""

    process: str
    type: str
    key: str | None
    data: bytes
    cause: tuple[str, str] | None


class _Names(msgspec.Struct):
    wire: str | None = None
    correlationid: str | None = None
    causationid: str | None = None


_NAMES = msgspec.json.Decoder(_Names).decode


@final
class StoredPart:
    """What stands in the tables of one store. Make one for each look."""

    def __init__(self, rows: Rows) -> None:
        """Through these queries."""
        self.rows = rows
        self.file = StoredFile(rows)

    @cached_property
    def store(self) -> str:
        """The name of the store, with which the public ids of its own events begin."""
        return str(self.rows("select value from onstage_meta where name = 'store'")[0][0])

    @cached_property
    def _extras(self) -> dict[int, _Names]:
        return {
            n: _NAMES(extra) for n, extra in self.rows("select n, extra from onstage_event where extra is not null")
        }

    @cached_property
    def wires(self) -> dict[int, str]:
        """The public ids of all events, by their numbers here."""
        own = {n: wire for wire, n in self.file.wires.items()}
        return {n: (self._extras[n].wire if n in self._extras else None) or wire for n, wire in own.items()}

    @cached_property
    def processes(self) -> dict[int, str]:
        """The public ids of all processes, by their numbers here."""
        return dict(self.rows("select id, wire_id from onstage_process"))

    @cached_property
    def events(self) -> dict[str, PublicEvent]:
        """All events by their public ids."""
        found = {}
        for n, data in self.rows("select n, data from onstage_event order by n"):
            row = self.file.events[n]
            found[self.wires[n]] = PublicEvent(self.processes[row.process], row.type, row.key, data, self._cause(n))
        return found

    def _cause(self, n: int) -> tuple[str, str] | None:
        cause, names = self.file.events[n].cause, self._extras.get(n)
        if cause:
            return self.wires[event_of(cause)], self.file.handler_of(cause)
        if names is None or not names.causationid:
            return None
        event, _, handler = names.causationid.partition("/")
        return event, handler

    @cached_property
    def own(self) -> frozenset[str]:
        """The public ids of the events that this store has logged first."""
        return frozenset(wire for wire in self.events if wire.startswith(f"{self.store}-"))

    @cached_property
    def executions(self) -> dict[tuple[str, str], int]:
        """The status of each obligation, by (public id of the event, handler)."""
        return {
            (self.wires[event_of(execution)], self.file.handlers[handler_of(execution)]): row.status
            for execution, row in self.file.executions.items()
        }

    @cached_property
    def digests(self) -> dict[str, int]:
        """The part of each process's digest that this store has, by its public id."""
        rows = self.rows("select wire_id, digest from onstage_process")
        return {wire: int.from_bytes(digest, "big") for wire, digest in rows}

    @cached_property
    def public_rows(self) -> dict[str, dict[Any, Any]]:
        """All that must be the same wherever it is read from the log: events, obligations and processes."""
        processes = self.rows("select wire_id, declared, key, hex(digest), open, outcome, started from onstage_process")
        return {
            "events": dict(self.events),
            "obligations": dict(self.executions),
            "processes": {wire: tuple(rest) for wire, *rest in processes},
        }


class ProcessPart(NamedTuple):
    """What one store knows of one process.

    `events` are (type, public id of the event that it was caused by) by public id, `executions` statuses by (public id
    of the event, handler).
    """

    events: dict[str, tuple[str, str | None]]
    executions: dict[tuple[str, str], int]


def process_in(rows: Rows, process: str) -> ProcessPart:
    """What stands in a store about the process with this public id, at this moment."""
    found = rows(
        "select e.n, t.name, e.cause, e.extra from onstage_event e join onstage_type t on t.id = e.type"
        " where e.process in (select id from onstage_process where wire_id = ?)",
        process,
    )
    if not found:
        return ProcessPart({}, {})
    store = rows("select value from onstage_meta where name = 'store'")[0][0]
    identity = Identity(store, tuple(rows("select first_n, name from onstage_incarnation order by epoch")))
    part = ProcessPart({}, {})
    wires = {n: (extra and _NAMES(extra).wire) or identity.wire(n) for n, _, _, extra in found}
    for n, type_name, cause, extra in found:
        came = (extra and _NAMES(extra).causationid) or None
        causing = came.split("/")[0] if came else identity.wire(event_of(cause)) if cause else None
        part.events[wires[n]] = (type_name, causing)
        obligations = rows(
            "select h.name, x.status from onstage_execution x join onstage_handler h on h.id = x.id & 65535"
            " where x.id between ? and ?",
            n << 16,
            (n << 16) + 65535,
        )
        part.executions.update({(wires[n], name): status for name, status in obligations})
    return part
