"""The observer: looks from outside at what each death left behind, and at the end of everything.

What it knows comes from the ledger, a file beside the store that no rollback reaches. The store it reads in a copy, so
that looking changes nothing of what the next process finds.
"""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw
from tests.faults.checks import check_accounts, rows
from tests.matrix.life import LEDGER, STORE
from tests.matrix.matrix_app import LANES, ORDERS, REFUSED, REMOTE, Ledger

from onstage.core.identity import Identity
from onstage.core.journal import Stepped, Undone, decode_entry

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
    processes: dict[str, int] = field(default_factory=dict)
    """How much is open in each process, by its public id."""
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
        untrue = [line for line in lines if line[0] == "verdict" and seen.processes.get(line[2]) != 0]
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
        entered = Counter((handler, seq) for handler, _, seq, _ in seen.entered)
        assert entered == dict.fromkeys(ROWS, 1), (
            f"doubled or lost: rows {entered - Counter(ROWS)} {Counter(ROWS) - entered}"
        )
        worked = [(key, seq) for handler, key, seq, _ in seen.entered if handler == "work"]
        for lane, orders in (LANES | REMOTE).items():
            assert [seq for key, seq in worked if key == lane] == list(orders), f"order: lane {lane}"
        self._check_effects(seen, lines)
        assert not any(seen.processes.values()), "open: a process at the end"

    def _check_effects(self, seen: Seen, lines: list[list[str]]) -> None:
        keys = defaultdict[tuple[str, int], set[str]](set)
        for line in lines:
            if line[0] == "effect":
                keys[line[2], int(line[3])].add(line[1])
        assert set(keys) == EFFECTS, f"effects: {set(keys) ^ EFFECTS}"
        assert all(len(each) == 1 for each in keys.values()), f"keys: an effect under two idempotency keys: {keys}"
        tokens = {seq: json.loads(seen.recorded[next(iter(keys["tool", seq]))]) for seq in ORDERS}
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
    store = rows(connection, "select value from onstage_meta where name = 'store'")
    incarnations = rows(connection, "select first_n, name from onstage_incarnation order by epoch")
    if not store:
        return Seen()
    identity = Identity(store[0][0], tuple((first, name) for first, name in incarnations))
    handlers = dict(rows(connection, "select id, name from onstage_handler"))
    executions = rows(connection, "select id from onstage_execution")
    names = {x: f"{identity.wire(x >> 16)}/{handlers[x & 0xFFFF]}" for (x,) in executions}
    recorded = dict[str, bytes]()
    for execution, body in rows(connection, "select execution, body from onstage_entry"):
        entry = decode_entry(body)
        if isinstance(entry, Stepped | Undone):
            recorded[f"{names[execution]}/{entry.position}"] = entry.result if isinstance(entry, Stepped) else b""
    return Seen(
        set(names.values()),
        recorded,
        rows(connection, EVENTS_SQL),
        dict(rows(connection, "select wire_id, open from onstage_process")),
        rows(connection, "select handler, key, seq, token from matrix_ledger order by id"),
    )


EVENTS_SQL = (
    "select t.name, e.key, json_extract(e.data, '$.seq'), coalesce(json_extract(e.data, '$.token'), '') "
    "from onstage_event e join onstage_type t on t.id = e.type order by e.n"
)
