"""What the ledger costs, and a process of 100,000 executions.

The variant without a ledger computes no tokens and stores no receipts. The count of open obligations stays in both,
for without it nobody would know when a process has ended and there would be nothing to measure.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec

from benchmarks.chain_app import chain, make
from benchmarks.load import run_processes
from onstage import App, Process, Service, emit, event
from onstage.runtime import emission, segment
from onstage.stores.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRS = 9
FAN_OUT = 10


@contextmanager
def _without_ledger() -> Iterator[None]:
    def bundles(_: Batch) -> list[Any]:
        return []

    with ExitStack() as stack:
        stack.enter_context(patch.object(emission, "token", lambda *_: 0))
        stack.enter_context(patch.object(segment, "token", lambda *_: 0))
        stack.enter_context(patch.object(Batch, "bundles", bundles))
        yield


def _chain(total: int) -> float:
    app, first = chain(10)
    return asyncio.run(run_processes(app, first, make, total=total, concurrency=min(total, 1000)))["per_s"]


def ledger_cost(total: int) -> dict[str, float]:
    """Chains of ten with the ledger and without, in turn; the median of what each pair lost by it."""
    costs, rates = [], []
    for pair in range(PAIRS):
        if pair % 2:
            with _without_ledger():
                without = _chain(total)
            own = _chain(total)
        else:
            own = _chain(total)
            with _without_ledger():
                without = _chain(total)
        rates.append(own * 10)
        costs.append(1 - own / without)
    return {"cost_of_throughput": statistics.median(costs), "hops_per_s": statistics.median(rates)}


def _tree() -> tuple[App, type[Any]]:
    """A process in which each event leads to ten, to a given depth, and the root's handler says that it is through."""
    cls = event("bench.node", key="key")(msgspec.defstruct("Node", [("key", str), ("depth", int)], frozen=True))
    done = event("bench.done", key="key")(msgspec.defstruct("Done", [("key", str)], frozen=True))
    service = Service("tree")

    async def grow(e: Any) -> None:
        for _ in range(FAN_OUT if e.depth else 0):
            await emit(cls(e.key, e.depth - 1))
        if e.key == "root" and e.depth == 1:
            await emit(done(e.key))

    grow.__annotations__ = {"e": cls, "return": None}
    service.on(cls, emits=[cls, done], concurrency=10_000, lane="until-wait")(grow)
    return App(service, Process("tree", starts=cls, done=done)), cls


async def _grown(path: str, depth: int) -> tuple[float, str]:
    app, cls = _tree()
    async with app.run(f"sqlite:///{path}") as stage:
        began = time.perf_counter()
        handle = await stage.emit(cls("root", depth))
        verdict = await handle.verdict(timeout="20m")
        return time.perf_counter() - began, verdict.status


def large_process(depth: int) -> dict[str, float]:
    """One process of ten to the `depth` executions and more: to its verdict, its books, and `onstage show` of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/large.db"
        seconds, status = asyncio.run(_grown(path, depth))
        assert status == "completed", status
        command = [
            sys.executable,
            "-m",
            "onstage.cli.main",
            "show",
            "root",
            "--store",
            f"sqlite:///{path}",
            "-o",
            "json",
        ]
        times, after, pages, events = list[float](), 0, 0, 0
        while after is not None and pages < 5:
            began = time.perf_counter()
            told = subprocess.run([*command, "--after", str(after)], check=True, capture_output=True).stdout
            times.append(time.perf_counter() - began)
            after, pages = msgspec.json.decode(told)["next"], pages + 1
            events += told.count(b'"type":"bench.')
    count = (FAN_OUT ** (depth + 1) - 1) / (FAN_OUT - 1)
    return {"executions": count, "seconds": seconds, "show_s": max(times), "pages_read": pages, "events_read": events}
