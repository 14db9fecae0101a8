"""`make bench`: each figure beside the floor of the same run, as a table and as JSON.

python -m benchmarks [--runs 3] [--json results.json] [--only chain-10 ...]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.apart import chain_apart
from benchmarks.chain_app import chain, make, stepping, waiting
from benchmarks.floor import run as run_floor
from benchmarks.ledger import large_process, ledger_cost
from benchmarks.load import run_processes
from benchmarks.manifests import check_of
from benchmarks.model import ask_round_trip, fan_out, ten_steps
from benchmarks.timers import timers
from benchmarks.ui_draw import ui_draw
from benchmarks.ui_open import ui_open
from benchmarks.ui_pages import pages
from onstage.cli.run_node import tune_collector

if TYPE_CHECKING:
    from onstage import App
    from onstage.process_handle import ProcessHandle
    from onstage.stage import Stage

WAITING = 100_000
WARM = WAITING // 5  # by then caches and pools are full
STORED = 1_000_000
EVENTS_A_CHAIN = 11


def _floor(hops: int, concurrency: int, total: int) -> dict[str, float]:
    return asyncio.run(run_floor(hops, concurrency, total))


def _processes(app_and_first: tuple[Any, type[Any]], total: int, concurrency: int) -> dict[str, float]:
    app, first = app_and_first
    return asyncio.run(run_processes(app, first, make, total=total, concurrency=concurrency))


def chain_of(hops: int, concurrency: int, total: int) -> dict[str, float]:
    """A chain of handlers under load, and the floor's hops."""
    ours, floor = _processes(chain(hops), total, concurrency), _floor(hops, concurrency, total)
    rate = ours["per_s"] * hops
    return {"hops_per_s": rate, "floor_hops_per_s": floor["hops_per_s"], "of_floor": rate / floor["hops_per_s"]}


def lone() -> dict[str, float]:
    """One process at a time through ten handlers: latency and fsyncs."""
    ours, floor = _processes(chain(10), 300, 1), _floor(10, 1, 300)
    times = ours["p50_ms"] / floor["p50_ms"]
    return {"p50_ms": ours["p50_ms"], "floor_p50_ms": floor["p50_ms"], "times_floor": times, "fsyncs": ours["fsyncs"]}


def steps(count: int, concurrency: int, total: int) -> dict[str, float]:
    """Executions of one handler with `count` steps, beside the floor's hops."""
    ours, floor = _processes(stepping(count), total, concurrency), _floor(10, concurrency, 4000)
    share = ours["per_s"] * count / floor["hops_per_s"]
    return {"executions_per_s": ours["per_s"], "steps_per_s": ours["per_s"] * count, "of_floor": share}


async def _wait_and_wake() -> dict[str, float]:
    app, ordered, approved = waiting()
    resident = {}
    with tempfile.TemporaryDirectory() as folder:
        async with app.run(f"sqlite:///{folder}/bench.db") as stage:
            start = time.perf_counter()
            for first in range(0, WAITING, 1000):
                resident[first] = _resident_bytes() if first in (0, WARM) else 0
                await _emit(stage, ordered, first)
            born = time.perf_counter() - start
            most = _resident_bytes()
            start = time.perf_counter()
            for first in range(0, WAITING, 1000):
                await _completed(await _emit(stage, approved, first))
            woken = time.perf_counter() - start
    return {
        "waiting": WAITING,
        "resident_bytes_each": (most - resident[0]) / WAITING,
        "resident_bytes_each_once_warm": (most - resident[WARM]) / (WAITING - WARM),
        "start_per_s": WAITING / born,
        "wake_per_s": WAITING / woken,
    }


async def _emit(stage: Stage, cls: type[Any], first: int = 0) -> list[ProcessHandle]:
    return await asyncio.gather(*(stage.emit(make(cls, first + n)) for n in range(1000)))


async def _completed(handles: list[ProcessHandle]) -> None:
    verdicts = await asyncio.gather(*(handle.verdict(timeout="5m") for handle in handles))
    assert all(verdict.status == "completed" for verdict in verdicts), "every process ends"


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def wait_and_wake() -> dict[str, float]:
    """Executions that wait: resident memory each, SQLite's page cache included, and the time to wake them all."""
    return asyncio.run(_wait_and_wake())


def handlers() -> dict[str, float]:
    """Cost per event with 10 and with 1,000 registered handlers, paired."""
    ratios = []
    for _ in range(5):
        few, many = _processes(chain(10), 1000, 500), _processes(chain(10, extra_handlers=990), 1000, 500)
        ratios.append(few["per_s"] / many["per_s"])
    return {"cost_1000_over_10": statistics.median(ratios)}


async def _stored() -> dict[str, float]:
    app, first = chain(10)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        async with app.run(f"sqlite:///{folder}/full.db") as full:
            for _ in range(STORED // EVENTS_A_CHAIN // 1000 + 1):
                await _thousand(full, first)
            for turn in range(5):
                on_empty = await _on_empty(app, first, f"{folder}/empty-{turn}.db")
                ratios.append(await _thousand(full, first) / on_empty)
    return {"events_stored": STORED, "cost_full_over_empty": statistics.median(ratios)}


async def _on_empty(app: App, first: type[Any], path: str) -> float:
    async with app.run(f"sqlite:///{path}") as empty:
        await _thousand(empty, first)  # the first statements are prepared, the first pages read
        return await _thousand(empty, first)


async def _thousand(stage: Stage, first: type[Any]) -> float:
    start = time.perf_counter()
    await _completed(await _emit(stage, first))
    return time.perf_counter() - start


def stored() -> dict[str, float]:
    """Cost per event on a store that holds a million, over that on an empty one; median of five pairs."""
    return asyncio.run(_stored())


BENCHMARKS: dict[str, tuple[Any, ...]] = {
    "chain-10 at 1,000": (chain_of, 10, 1000, 4000),
    "chain-100 at 100": (chain_of, 100, 100, 400),
    "one step at 1,000": (steps, 1, 1000, 8000),
    "ten steps at 1,000": (steps, 10, 1000, 1500),
    "lone chain of 10": (lone,),
    "waiting": (wait_and_wake,),
    "10 and 1,000 handlers": (handlers,),
    "stored events": (stored,),
    "workflow of ten steps": (ten_steps,),
    "ask round trip": (ask_round_trip,),
    "fan-out of 100 and join": (fan_out,),
    "chain of 3 apart": (chain_apart,),
    "100,000 timers": (timers,),
    "ledger cost": (ledger_cost, 2000),
    "process of 100,000": (large_process, 5),
    "check of 1,000 services": (check_of, 1_000),
    "check of 10,000 services": (check_of, 10_000),
    "web UI, p95 in ms": (pages, 1_000_000, 10_000),
    "web UI drawn": (ui_draw, 9),
    "web UI open": (ui_open, 9, 4_000),
}


ONCE = (
    "waiting",
    "10 and 1,000 handlers",
    "stored events",
    "100,000 timers",
    "web UI, p95 in ms",
    "web UI drawn",
    "web UI open",
    "ledger cost",
    "process of 100,000",
)


def main() -> None:
    """Run what is asked for, print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", default=list(BENCHMARKS), choices=list(BENCHMARKS), metavar="NAME")
    chosen = parser.parse_args()
    tune_collector()  # as `onstage run` does, for ours and for the floor alike
    results: dict[str, dict[str, float]] = {}
    for name in chosen.only:
        function, *arguments = BENCHMARKS[name]
        once = name in ONCE
        runs = [function(*arguments) for _ in range(1 if once else chosen.runs)]
        results[name] = {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
        shown = "  ".join(f"{key} {value:,.3f}".rstrip("0").rstrip(".") for key, value in results[name].items())
        print(f"{name:24} {shown}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2))
    print(json.dumps(results), file=sys.stderr)


if __name__ == "__main__":
    main()
