"""The observer: looks from outside at what each death left behind, and at the end of everything.

What it knows comes from the ledger, a file beside the store that no rollback reaches. The store it reads in a copy, so
that looking changes nothing of what the next process finds.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw
from tests.faults.checks import check_accounts, rows, stored_file
from tests.matrix.life import LEDGER, STORE
from tests.matrix.matrix_app import LANES, ORDERS, REFUSED, REMOTE, Ledger

from onstage.core.commit import event_of
from onstage.core.journal import Stepped, Undone
from onstage.testing.checks.effect_counts import not_once
from onstage.testing.checks.lane_order import out_of_order
from onstage.testing.checks.no_loss import not_ended
from onstage.testing.checks.step_calls import changed_keys, shared_keys
from onstage.testing.checks.told_verdicts import FINAL, truths

KEPT = [seq for seq in ORDERS if seq != REFUSED]
EFFECTS = {*(("tool", seq) for seq in ORDERS), *(("machine", seq) for seq in KEPT)} | {
    ("take", REFUSED),
    ("give-back", REFUSED),
}
ROWS = {*(("work", seq) for seq in ORDERS), *(("file", seq) for seq in ORDERS), *(("rest", seq) for seq in KEPT)}
EVENTS = {
    ("matrix.ordered", *ORDERS),
    ("matrix.worked", *KEPT),
    ("matrix.confirmed", *KEPT),
    ("matrix.rested", *KEPT),
}


@dataclass
class Seen:
    """What stood in the store at one moment."""

    executions: set[str] = field(default_factory=set)
    """As idempotency keys begin: the event's public id and the handler."""
    recorded: dict[str, bytes] = field(default_factory=dict)
    """The results of steps, by idempotency key."""
    events: list[tuple[str, str, int, str]] = field(default_factory=list)
    """Type, key, seq and token of each event, in the order of the log."""
    processes: dict[str, set[str]] = field(default_factory=dict)
    """What may be said of each process, by its public id."""
    unended: list[str] = field(default_factory=list)
    """What is still open, as complaints."""
    entered: list[tuple[str, str, int, str]] = field(default_factory=list)
    """The rows of the application's own table."""


@dataclass
class Witness:
    """Of one store over several lives."""

    folder: Path
    recorded: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """What was seen recorded at a death: how long the ledger was then, and the result."""

    @property
    def lines(self) -> list[list[str]]:
        """The ledger."""
        ledger = Ledger()
        ledger.path = self.folder / LEDGER
        return ledger.lines()

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection | None]:
        """A connection to a copy of the store; None while there is none, or it has no tables."""
        place = self.folder / "copy"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name in (STORE, f"{STORE}-wal", f"{STORE}-journal"):
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, place / name)
        connection = apsw.Connection(str(place / STORE))
        try:
            connection.execute("pragma synchronous = off")
            yield connection if rows(connection, "pragma user_version") != [(0,)] else None
        finally:
            connection.close(True)

    def look(self) -> Seen:
        """After a death: everything that somebody was told stands in the store, and nothing there is half done."""
        with self.reading() as connection:
            seen = Seen() if connection is None else read(connection)
        lines = self.lines
        stored = {seq for type_name, _, seq, _ in seen.events if type_name == "matrix.ordered"}
        accepted = [(int(line[1]), line[2]) for line in lines if line[0] == "accepted"]
        lost = {seq for seq, _ in accepted} - stored
        assert not lost, f"lost: accepted orders {lost}"
        early = [line for line in lines if line[0] == "effect" and _execution(line) not in seen.executions]
        assert not early, f"early: effects before what led to them was durable: {early}"
        over = {wire for wire, true in seen.processes.items() if true <= FINAL}
        untrue = [line for line in lines if line[0] == "verdict" and line[2] not in over]
        assert not untrue, f"untrue: verdicts on processes that were not over: {untrue}"
        gone = [key for key, (_, result) in self.recorded.items() if seen.recorded.get(key) != result]
        assert not gone, f"gone: recorded results that are there no more, or others: {gone}"
        for key, result in seen.recorded.items():
            self.recorded.setdefault(key, (len(lines), result))
        repeated = [
            line
            for number, line in enumerate(lines)
            if line[0] == "effect" and number >= self.recorded.get(line[1], (number + 1, b""))[0]
        ]
        assert not repeated, f"repeated: steps after their results were recorded: {repeated}"
        return seen

    def look_at_the_end(self) -> None:
        """When all is over: each effect exists once, in order, with the result that was recorded first."""
        seen, lines = self.look(), self.lines
        processes = defaultdict[int, set[str]](set)
        for line in lines:
            if line[0] == "accepted":
                processes[int(line[1])].add(line[2])
        assert {seq: len(ids) for seq, ids in processes.items()} == dict.fromkeys(ORDERS, 1), "doubled: an order"
        found = {(name, *sorted(seq for each, _, seq, _ in seen.events if each == name)) for name, *_ in EVENTS}
        assert found == EVENTS, f"doubled or lost: events {found ^ EVENTS}"
        entered = [(handler, seq) for handler, _, seq, _ in seen.entered]
        miscounted = list(not_once(entered, ROWS))
        assert not miscounted, f"doubled or lost: rows {miscounted}"
        assert set(entered) == ROWS, f"rows that nobody owes: {set(entered) - ROWS}"
        worked = [(key, seq) for handler, key, seq, _ in seen.entered if handler == "work"]
        overtaken = list(out_of_order((f"lane {key}", seq) for key, seq in worked if key in LANES | REMOTE))
        assert not overtaken, f"order: {overtaken}"
        for lane, orders in (LANES | REMOTE).items():
            assert [seq for key, seq in worked if key == lane] == list(orders), f"order: lane {lane}"
        self._check_effects(seen, lines)
        assert not seen.unended, f"open: {seen.unended}"

    def _check_effects(self, seen: Seen, lines: list[list[str]]) -> None:
        calls = [((line[2], int(line[3])), line[1]) for line in lines if line[0] == "effect"]
        keys = dict(calls)
        assert set(keys) == EFFECTS, f"effects: {set(keys) ^ EFFECTS}"
        mixed = [*changed_keys(calls), *shared_keys(calls)]
        assert not mixed, f"keys: an effect under two idempotency keys, or two under one: {mixed}"
        tokens = {seq: json.loads(seen.recorded[keys["tool", seq]]) for seq in ORDERS}
        used = {(seq, token) for name, _, seq, token in seen.events if name in ("matrix.worked", "matrix.rested")}
        used |= {(seq, token) for handler, _, seq, token in seen.entered if handler == "work"}
        assert used == set(tokens.items()), "results: what a handler went on with is not what was recorded"


def _execution(line: list[str]) -> str:
    """Whose effect it is: the idempotency key without the position, which has two parts for an undo."""
    return line[1].rsplit("/", 2 if "/undo/" in line[1] else 1)[0]


def read(connection: apsw.Connection) -> Seen:
    """What stands in a store. Its own accounts must balance."""
    assert rows(connection, "pragma quick_check") == [("ok",)], "corrupt"
    check_accounts(connection)
    file = stored_file(connection)
    if not rows(connection, "select 1 from onstage_meta where name = 'store'"):
        return Seen()
    wires = {n: wire for wire, n in file.wires.items()}
    names = {x: f"{wires[event_of(x)]}/{file.handler_of(x)}" for x in file.executions}
    recorded = {
        f"{names[x]}/{entry.position}": entry.result if isinstance(entry, Stepped) else b""
        for x, entries in file.journals.items()
        for entry in entries
        if isinstance(entry, Stepped | Undone)
    }
    return Seen(
        set(names.values()),
        recorded,
        rows(connection, EVENTS_SQL),
        {wire: truths(file.rows, wire) for (wire,) in file.rows("select wire_id from onstage_process")},
        list(not_ended(file, ())),
        rows(connection, "select handler, key, seq, token from matrix_ledger order by id"),
    )


EVENTS_SQL = (
    "select t.name, e.key, json_extract(e.data, '$.seq'), coalesce(json_extract(e.data, '$.token'), '') "
    "from onstage_event e join onstage_type t on t.id = e.type order by e.n"
)
