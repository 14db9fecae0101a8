"""What every peer is asked to do: ten steps one after the other, and a hundred beside each other."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

__all__ = ["FAN_OUT", "PAYLOAD", "STEPS", "Work", "measure"]

STEPS = 10
FAN_OUT = 100
PAYLOAD = "x" * 180
ALONE = 20
LOADED = 200
AT_ONCE = 20
FANS = 10

Work = Callable[[str], Awaitable[object]]
"""Does one whole process that has this id, and returns when its result is known."""


async def measure(ten_steps: Work, fan_out: Work | None) -> dict[str, float]:
    """The median (ms) of a process alone; processes, and fan-outs with their join, a second, `AT_ONCE` at a time.

    Each is warmed up first; the numbers of processes are bounded, so that the slowest peer ends within a minute.
    """
    for number in range(3):
        await ten_steps(f"warm-{number}")
    alone = [await _timed(ten_steps(f"alone-{number}")) for number in range(ALONE)]
    found = {"ten_steps_p50_ms": statistics.median(alone) * 1e3}
    found["ten_steps_per_s"] = LOADED / await _timed(_at_once(ten_steps, "loaded", LOADED))
    if fan_out is not None:
        await fan_out("warm")
        found["joins_per_s"] = FANS / await _timed(_at_once(fan_out, "fan", FANS))
    return found


async def _timed(work: Awaitable[object]) -> float:
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


async def _at_once(work: Work, name: str, total: int) -> None:
    numbers = iter(range(total))

    async def client() -> None:
        for number in numbers:
            await work(f"{name}-{number}")

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
