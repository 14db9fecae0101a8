"""Workflows, requests and fan-outs: what they cost, beside the same floor."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.floor import run as run_floor
from onstage import App, Request, Service, event, gather, step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onstage.stage import Stage

__all__ = ["ask_round_trip", "fan_out", "ten_steps"]

STEPS = 10
FAN_OUT = 100
PAYLOAD = "x" * 180
ALONE = 100

service = Service("bench")


@step
async def charge(text: str) -> str:
    """An effect that takes no time."""
    return text


@service.workflow
async def ten(text: str) -> str:
    """Ten steps, one after the other."""
    for _ in range(STEPS):
        text = await charge(text)
    return text


@service.workflow
async def fan(text: str) -> int:
    """A hundred steps beside each other, and their join."""
    return len(await gather(*(charge(text) for _ in range(FAN_OUT))))


@event("bench.echo")
@dataclass(frozen=True)
class Echo(Request[str]):
    """Say it again."""

    text: str


@service.answers(Echo)
async def echo(e: Echo) -> str:
    """Answer with what was asked."""
    return e.text


app = App(service)


def ten_steps() -> dict[str, float]:
    """Workflows of ten steps: one at a time (ms), and 100 at a time a second."""
    found = asyncio.run(_run(_ten, total=1_000, at_once=100))
    floor = asyncio.run(run_floor(STEPS, 100, 1_000))
    return found | {"of_floor": found["per_s"] * STEPS / floor["hops_per_s"]}


def ask_round_trip() -> dict[str, float]:
    """Requests from outside and their answers: one at a time (ms), and 100 at a time a second."""
    return asyncio.run(_run(_echo, total=3_000, at_once=100))


def fan_out() -> dict[str, float]:
    """Fan-outs of 100 steps with their join: one at a time (ms), and 10 at a time a second."""
    return asyncio.run(_run(_fan, total=200, at_once=10))


async def _ten(stage: Stage, name: str) -> None:
    await (await stage.start(ten, PAYLOAD, id=name)).result()


async def _fan(stage: Stage, name: str) -> None:
    await (await stage.start(fan, PAYLOAD, id=name)).result()


async def _echo(stage: Stage, _: str) -> None:
    await stage.ask(Echo(PAYLOAD))


async def _run(work: Callable[[Stage, str], Awaitable[None]], *, total: int, at_once: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        async with app.run(f"sqlite:///{folder}/bench.db") as stage:
            alone = []
            for number in range(ALONE):
                start = time.perf_counter()
                await work(stage, f"alone-{number}")
                alone.append(time.perf_counter() - start)
            numbers = iter(range(total))

            async def client() -> None:
                for number in numbers:
                    await work(stage, f"load-{number}")

            start = time.perf_counter()
            await asyncio.gather(*(client() for _ in range(at_once)))
            elapsed = time.perf_counter() - start
    return {"p50_ms": statistics.median(alone) * 1e3, "per_s": total / elapsed}
