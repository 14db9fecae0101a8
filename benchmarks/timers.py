"""100,000 timers due within one second: how long until all have fired, beside a heap and bare commits."""

from __future__ import annotations

import asyncio
import heapq
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw

from onstage import App, Service, event

TIMERS = 100_000
AT_ONCE = 1_000
TRIED = 4_000
SPARE_S = 5.0
FLOOR_BATCH = 500


@event("bench.rung", key="id")
@dataclass(frozen=True)
class Rung:
    id: str
    due_ms: int


def alarm() -> tuple[App, list[int]]:
    """An app that notes the due times of what rings, in the order in which it rings."""
    service, rung = Service("alarm"), list[int]()

    @service.on(Rung)
    async def ring(e: Rung) -> None:
        rung.append(e.due_ms)

    return App(service), rung


async def _run(count: int) -> dict[str, float]:
    app, rung = alarm()
    with tempfile.TemporaryDirectory() as folder:
        async with app.run(f"sqlite:///{folder}/bench.db") as stage:

            async def put_off(first: int, many: int, begin: datetime) -> None:
                moments = [begin + timedelta(milliseconds=n * 1_000 // count) for n in range(first, first + many)]
                told = [(moment, round(moment.timestamp() * 1000)) for moment in moments]
                await asyncio.gather(*(stage.emit(Rung(f"k{ms}-{n}", ms), at=at) for n, (at, ms) in enumerate(told)))

            start = time.perf_counter()
            for first in range(0, TRIED, AT_ONCE):
                await put_off(first, AT_ONCE, datetime.now(UTC) + timedelta(days=1))
            stored_per_s = TRIED / (time.perf_counter() - start)
            begin = datetime.now(UTC) + timedelta(seconds=1.5 * count / stored_per_s + SPARE_S)
            for first in range(0, count, AT_ONCE):
                await put_off(first, AT_ONCE, begin)
            stored_in_time = datetime.now(UTC) < begin
            while len(rung) < count:  # noqa: ASYNC110  the clock decides, not an event
                await asyncio.sleep(0.02)
            took = (datetime.now(UTC) - begin).total_seconds()
    assert stored_in_time, "the first were due before the last were stored"
    assert rung == sorted(rung), "they ring in the order of their due times"
    return {"stored_per_s": stored_per_s, "timers_per_s": count / took, "all_after_s": took}


def _floor(count: int) -> float:
    """Timers per second of a heap whose every turn is one commit of two rows for each that is due."""
    with tempfile.TemporaryDirectory() as folder:
        db = apsw.Connection(str(Path(folder) / "floor.db"))
        db.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE timer (id INTEGER PRIMARY KEY, due INTEGER, data BLOB)")
        db.execute("CREATE TABLE fired (id INTEGER PRIMARY KEY, timer INTEGER)")
        with db:
            db.executemany("INSERT INTO timer VALUES (?, ?, ?)", ((n, n, b"{}" * 20) for n in range(count)))
        heap = [(n, n) for n in range(count)]
        heapq.heapify(heap)
        start = time.perf_counter()
        while heap:
            due = [heapq.heappop(heap)[1] for _ in range(min(FLOOR_BATCH, len(heap)))]
            with db:
                db.executemany("UPDATE timer SET due = NULL WHERE id = ?", ((n,) for n in due))
                db.executemany("INSERT INTO fired (timer) VALUES (?)", ((n,) for n in due))
        took = time.perf_counter() - start
        db.close()
    return count / took


def timers(count: int = TIMERS) -> dict[str, float]:
    """Delayed events that are due within one second; each is emitted, and handled, when it is due."""
    ours, floor = asyncio.run(_run(count)), _floor(count)
    return {"timers": count, **ours, "floor_timers_per_s": floor, "of_floor": ours["timers_per_s"] / floor}
