"""A chain of three services in three processes over one NATS server, beside what such a server and a disk can do.

`python -m benchmarks.apart SERVICE STORE BROKER` runs one of the services.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from benchmarks.floor import run as run_floor
from onstage import App, Process, Service, connect, event, transaction
from onstage.brokers.nats.broker import NatsBroker
from onstage.brokers.nats.publishing import ATOMIC_MESSAGES_MIN
from onstage.cli.run_node import tune_collector
from onstage.ports.broker import Message
from onstage.testing.nats_server import NatsServer

if TYPE_CHECKING:
    from onstage.ports.store import Connection

__all__ = ["chain_apart"]

SERVICES = ("first", "second", "third")
UNDER_LOAD = 6_000
ALONE = 150
AT_ONCE = 500
BATCH = 500
PAYLOAD = "x" * 180
LOOK_S = 0.02  # rarely: who looks takes time from those who are measured


@event("bench.hop-0", key="id")
@dataclass(frozen=True)
class Hop0:
    id: str
    born_ns: int
    text: str


@event("bench.hop-1", key="id")
@dataclass(frozen=True)
class Hop1:
    id: str
    born_ns: int
    text: str


@event("bench.hop-2", key="id")
@dataclass(frozen=True)
class Hop2:
    id: str
    born_ns: int
    text: str


@event("bench.hop-3", key="id")
@dataclass(frozen=True)
class Hop3:
    id: str
    took_ns: int


first, second = Service("first"), Service("second")
third = Service("third", tables="create table if not exists took (at integer primary key, ns integer)")


@transaction
def note(db: Connection, ns: int) -> None:
    db.execute("insert into took (ns) values (?)", (ns,))


@first.on(Hop0, concurrency=10_000)
async def one(e: Hop0) -> Hop1:
    return Hop1(e.id, e.born_ns, e.text)


@second.on(Hop1, concurrency=10_000)
async def two(e: Hop1) -> Hop2:
    return Hop2(e.id, e.born_ns, e.text)


@third.on(Hop2, concurrency=10_000)
async def three(e: Hop2) -> Hop3:
    took = time.time_ns() - e.born_ns
    await note(took)
    return Hop3(e.id, took)


app = App(first, second, third, Process("chain", starts=Hop0, done=Hop3, owner=first))


async def serve(service: str, store: str, broker: str) -> None:
    """Run one service until it is told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.run(f"sqlite:///{store}", broker=broker, services=[service]):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()


def chain_apart() -> dict[str, float]:
    """Processes through three services: rate under load and latency alone, the server's own rate, the floor's."""
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder) / "nats") as server, ExitStack() as stack:
        for service in SERVICES:
            stack.callback(_stop, _start(service, folder, server.url))
        found = asyncio.run(_measured(Path(folder), server.url))
    floor = asyncio.run(run_floor(3, AT_ONCE, 4_000))
    found["floor_hops_per_s"] = floor["hops_per_s"]
    found["messages_of_nats"] = found["messages_per_s"] / found["nats_batched_per_s"]
    for limit in ("publish_and_commit", "batch_and_commit"):
        found[f"hop_over_{limit}"] = found["p50_hop_ms"] / found[f"{limit}_ms"]
    return found


def _start(service: str, folder: str, broker: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.apart", service, f"{folder}/{service}.db", broker]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None, "it was asked for"
    assert process.stdout.readline() == b"ready\n", f"{service} did not start"
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


async def _measured(folder: Path, url: str) -> dict[str, float]:
    async with connect(f"sqlite:///{folder}/first.db", app) as client:
        for number in range(50):
            await client.emit(Hop0(f"warm-{number}", time.time_ns(), PAYLOAD))
        await _arrived(folder, 50)
        for number in range(ALONE):
            await client.emit(Hop0(f"alone-{number}", time.time_ns(), PAYLOAD))
            await _arrived(folder, 51 + number)
        took = sorted(_query(folder, "select ns from took where at > 50"))
        start, numbers = time.perf_counter(), iter(range(UNDER_LOAD))

        async def emitter() -> None:
            for number in numbers:
                await client.emit(Hop0(f"load-{number}", time.time_ns(), PAYLOAD))

        await asyncio.gather(*(emitter() for _ in range(AT_ONCE)))
        await _arrived(folder, 50 + ALONE + UNDER_LOAD)
        elapsed = time.perf_counter() - start
    # Two of the three hops go over the broker: each is a commit, a publish and a commit; one is local.
    messages = 3 * UNDER_LOAD  # events; receipts come on top, bundled
    alone, atomic, batched = await _publishing(url)
    commit = _commit_ms(folder)
    return {
        "processes_per_s": UNDER_LOAD / elapsed,
        "hops_per_s": 3 * UNDER_LOAD / elapsed,
        "messages_per_s": messages / elapsed,
        "p50_hop_ms": statistics.median(took) / 2e6,
        "publish_and_commit_ms": alone + commit,
        "batch_and_commit_ms": atomic + commit,
        "nats_batched_per_s": batched,
    }


def _query(folder: Path, sql: str) -> list[int]:
    connection = apsw.Connection(f"{folder}/third.db", flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [row[0] for row in connection.execute(sql)]
    finally:
        connection.close()


async def _arrived(folder: Path, count: int) -> None:
    while _query(folder, "select coalesce(max(at), 0) from took")[0] < count:  # noqa: ASYNC110  another process
        await asyncio.sleep(LOOK_S)


async def _publishing(url: str) -> tuple[float, float, float]:
    """Medians (ms) of one message and of the smallest atomic batch; messages a second in large batches."""
    broker = NatsBroker(f"{url}?namespace=limit")
    await broker.open()
    alone = [await _publish_ms(broker, _batch(f"a-{number}", 1)) for number in range(200)]
    atomic = [await _publish_ms(broker, _batch(f"b-{number}", ATOMIC_MESSAGES_MIN)) for number in range(200)]
    large = sum([await _publish_ms(broker, _batch(f"c-{number}", BATCH)) for number in range(30)])
    await broker.close()
    return statistics.median(alone), statistics.median(atomic), BATCH * 30 / large * 1e3


def _batch(name: str, size: int) -> list[Message]:
    return [Message("evt.limit.0.bench.hop", PAYLOAD.encode(), id=f"{name}-{n}") for n in range(size)]


async def _publish_ms(broker: NatsBroker, batch: list[Message]) -> float:
    start = time.perf_counter()
    await broker.publish(batch)
    return (time.perf_counter() - start) * 1e3


def _commit_ms(folder: Path) -> float:
    connection = apsw.Connection(f"{folder}/limit.db")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table t (n integer primary key, data text)")
    took: list[float] = []
    for _ in range(200):
        start = time.perf_counter()
        connection.execute("insert into t (data) values (?)", (PAYLOAD,))
        took.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(took) * 1e3


if __name__ == "__main__":
    tune_collector()
    asyncio.run(serve(*sys.argv[1:4]))
