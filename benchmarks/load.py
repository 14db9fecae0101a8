"""Driving a stage: a bounded number of processes, so many at a time, from emit to their durable end."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onstage import App

__all__ = ["run_processes"]


async def run_processes(app: App, first: type[Any], make: Any, *, total: int, concurrency: int) -> dict[str, float]:
    """Run `total` processes, `concurrency` at a time, on a fresh file. A process ends when its verdict is durable."""
    latencies: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        stage = app.run(f"sqlite:///{folder}/bench.db")
        async with stage:
            numbers = iter(range(total))

            async def client() -> None:
                for number in numbers:
                    born = time.perf_counter()
                    process = await stage.emit(make(first, number))
                    verdict = await process.verdict(timeout=None)
                    assert verdict.status == "completed", verdict
                    latencies.append(time.perf_counter() - born)

            before = dict(stage.statistics())
            start = time.perf_counter()
            await asyncio.gather(*(client() for _ in range(min(concurrency, total))))
            elapsed = time.perf_counter() - start
            batches = stage.statistics()["batches"] - before["batches"]
    latencies.sort()
    return {
        "per_s": total / elapsed,
        "p50_ms": statistics.median(latencies) * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "fsyncs": batches / total,
    }
