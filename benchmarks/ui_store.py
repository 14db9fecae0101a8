"""A store as large as the UI promises to be quick on: a real node declares it, the rows are made in bulk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from onstage import App, Process, Reject, Service, event, wait
from onstage.core.journal import Stepped, WaitOpened, encode_entry
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ERRORS", "build"]

ENDED_STEPS = 4
ERRORS = 20
DAY_MS = 86_400_000
HLC_BITS = 16


@event("ui.ordered", key="id")
@dataclass(frozen=True)
class Ordered:
    id: str
    amount: int = 1


@event("ui.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str
    amount: int = 1


@event("ui.packed", key="id")
@dataclass(frozen=True)
class Packed:
    id: str
    amount: int = 1


@event("ui.shipped", key="id")
@dataclass(frozen=True)
class Shipped:
    id: str
    amount: int = 1


@event("ui.approved", key="id")
@dataclass(frozen=True)
class Approved:
    id: str


till, depot, ship, mail = Service("till"), Service("depot"), Service("ship"), Service("mail")


@till.on(Ordered)
async def pay(e: Ordered) -> Paid:
    return Paid(e.id)


@depot.on(Paid)
async def pack(e: Paid) -> Packed:
    if e.amount < 0:
        raise Reject("nothing to pack")
    return Packed(e.id)


@ship.on(Packed)
async def load(e: Packed) -> Shipped:
    await wait(Approved, timeout="30d")
    return Shipped(e.id)


@mail.on(Shipped)
async def thank(e: Shipped) -> None:
    assert e.id


app = App(till, depot, ship, mail, Process("order", starts=Ordered, done=Shipped, external=[Approved]))
CHAIN = (
    ("ui.ordered", "till.pay"),
    ("ui.paid", "depot.pack"),
    ("ui.packed", "ship.load"),
    ("ui.shipped", "mail.thank"),
)


async def _declare(path: Path) -> None:
    async with app.run(f"sqlite:///{path}") as stage:
        await stage.emit(Ordered("first"))


def build(path: Path, *, executions: int, open_processes: int, now_ms: int) -> None:
    """Make a store with so many executions; of the processes, the newest are open: waiting, ready, or set aside."""
    asyncio.run(_declare(path))
    db = apsw.Connection(str(path))
    db.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; PRAGMA cache_size = -200000")
    types = dict(db.execute("SELECT name, id FROM onstage_type"))
    handlers = dict(db.execute("SELECT name, id FROM onstage_handler"))
    store = db.execute("SELECT value FROM onstage_meta WHERE name = 'store'").fetchone()[0]
    incarnation, epoch = db.execute("SELECT name, epoch FROM onstage_incarnation").fetchone()
    first = db.execute("SELECT max(n) FROM onstage_event").fetchone()[0] + 10
    numbers = ([types[name] for name, _ in CHAIN], [handlers[name] for _, name in CHAIN])
    processes = (executions - open_processes * 3) // ENDED_STEPS + open_processes
    with db:
        rows = _rows(processes, open_processes, first, numbers, now_ms)
        for begin in range(0, processes, 5_000):
            _insert(db, [next(rows) for _ in range(min(5_000, processes - begin))], f"{store}-{incarnation}", epoch)
        _large_process(db, rows_at=first + processes * ENDED_STEPS, numbers=numbers, wire=f"{store}-{incarnation}")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _rows(
    processes: int, open_processes: int, first: int, numbers: tuple[list[int], list[int]], now_ms: int
) -> Iterator[tuple[Any, ...]]:
    types, handlers = numbers
    for place in range(processes):
        n = first + place * ENDED_STEPS
        begun = now_ms - 30 * DAY_MS + place * 30 * DAY_MS // processes
        is_open, hops = place >= processes - open_processes, ENDED_STEPS
        if is_open:
            hops = 3
        events = [
            (n + hop, n, types[hop], f"order-{place}", 0 if hop == 0 else (n + hop - 1) << 16 | handlers[hop - 1],
             (begun + hop * 50) << HLC_BITS, 1, msgspec.json.encode({"id": f"order-{place}", "amount": place}))
            for hop in range(hops)
        ]  # fmt: skip
        runs = [((n + hop) << 16 | handlers[hop], n, begun + hop * 50) for hop in range(hops)]
        yield place, n, begun, is_open, events, runs


def _insert(db: apsw.Connection, rows: list[tuple[Any, ...]], wire: str, epoch: int) -> None:
    events: list[Any] = []
    executions: list[Any] = []
    entries: list[Any] = []
    processes: list[Any] = []
    for place, n, begun, is_open, own, runs in rows:
        events += own
        for identity, process, at in runs[: -1 if is_open else None]:
            executions.append((identity, process, Status.DONE, 1, 0, 1, epoch, 1, None, at, at + 30, 7, None, None))
            entries.append((identity, 0, encode_entry(Stepped("charge#0", 1, b'"ok"', 0, 1, at + 20))))
        if is_open:
            executions.append(_open_one(place, *runs[-1], epoch))
            entries.append((runs[-1][0], 0, encode_entry(WaitOpened("wait#0", ("ui.approved",), None))))
        digest = (n if is_open else 0).to_bytes(16, "big")
        outcome = None if is_open or place % 100 == 0 else "ui.shipped"
        ended = None if is_open else begun + 400
        processes.append((n, f"{wire}-{n}", "order", f"order-{place}", digest, int(is_open), outcome, begun, ended))
    db.executemany("INSERT INTO onstage_event VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", events)
    db.executemany(f"INSERT INTO onstage_execution VALUES ({', '.join('?' * 14)})", executions)  # noqa: S608
    db.executemany("INSERT INTO onstage_entry VALUES (?, ?, ?)", entries)
    db.executemany("INSERT INTO onstage_process VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", processes)


def _open_one(place: int, identity: int, process: int, at: int, epoch: int) -> tuple[Any, ...]:
    """Of twenty open ones one is set aside, three are ready, the rest wait."""
    if place % 20 == 0:
        error = f"BankDown: terminal {place // 20 % ERRORS} does not answer\n  File x.py, line 7"
        return identity, process, Status.PARKED, 1, 0, 1, epoch, 5, None, at, at + 900, 7, None, error
    if place % 20 < 4:
        return identity, process, Status.READY, 1, 0, 1, epoch, 0, None, at, 0, 7, None, None
    due = at + 30 * DAY_MS
    return identity, process, Status.WAITING, 1, 0, 1, epoch, 1, due, at, 0, 7, "ui.approved", None


def _large_process(db: apsw.Connection, *, rows_at: int, numbers: tuple[list[int], list[int]], wire: str) -> None:
    """One process of a thousand executions: an event that led to a thousand others, each handled."""
    types, handlers = numbers
    at = db.execute("SELECT max(started) FROM onstage_process").fetchone()[0]
    events = [
        (rows_at + k, rows_at, types[0], "large", 0 if k == 0 else rows_at << 16 | handlers[0],
         (at + k) << HLC_BITS, 1, b'{"id": "large", "amount": 1}')
        for k in range(1_000)
    ]  # fmt: skip
    executions = [
        (
            (rows_at + k) << 16 | handlers[0],
            rows_at,
            Status.DONE,
            1,
            0,
            1,
            1,
            1,
            None,
            at + k,
            at + k + 5,
            7,
            None,
            None,
        )
        for k in range(1_000)
    ]
    entries = [(each[0], 0, encode_entry(Stepped("charge#0", 1, b'"ok"', 0, 1, each[10]))) for each in executions]
    db.executemany("INSERT INTO onstage_event VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", events)
    db.executemany(f"INSERT INTO onstage_execution VALUES ({', '.join('?' * 14)})", executions)  # noqa: S608
    db.executemany("INSERT INTO onstage_entry VALUES (?, ?, ?)", entries)
    process = (rows_at, f"{wire}-{rows_at}", "order", "large", bytes(16), 0, "ui.shipped", at, at + 2_000)
    db.execute("INSERT INTO onstage_process VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", process)
