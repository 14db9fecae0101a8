"""`onstage bench`: measures this machine: the project's own `benchmarks`, else a chain of ten handlers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

import click

from onstage.cli.options import Surroundings, surroundings
from onstage.cli.printing import note, print_json
from onstage.events.event import event

if TYPE_CHECKING:
    from onstage.app import App
    from onstage.stage import Stage

__all__ = ["command", "measure"]

HOPS: Final = 10
AT_ONCE: Final = 64
LONE_CHAINS: Final = 50
SECONDS_MAX: Final = 10.0


@click.command("bench", short_help="Measure this machine.")
@click.option("--seconds", type=click.FloatRange(0.1, SECONDS_MAX), default=5.0, show_default=True, help="How long.")
@click.option("--built-in", is_flag=True, help="The built-in measurement, even if there is a benchmarks package.")
@surroundings
def command(at: Surroundings, *, seconds: float, built_in: bool) -> int:
    """Run `python -m benchmarks` if the present folder has such a package, else measure a chain of ten handlers."""
    sys.path.insert(0, str(Path.cwd()))
    if not built_in and find_spec("benchmarks") is not None:
        return subprocess.run([sys.executable, "-m", "benchmarks"], check=False).returncode
    note(f"a chain of {HOPS} handlers on a temporary SQLite file, every commit on disk, {seconds:g} s ...")
    found = asyncio.run(measure(seconds))
    if at.is_json:
        print_json(found)
        return 0
    click.echo(
        f"alone      {found['lone_ms_median']:.2f} ms for {HOPS} hops (median), {found['lone_ms_p95']:.2f} ms (p95)"
    )
    click.echo(f"{AT_ONCE} at once {found['chains_per_s']:,.0f} chains/s, {found['hops_per_s']:,.0f} durable hops/s")
    return 0


@event(key="id")
@dataclass(frozen=True)
class Hop:
    """One hop of the chain that is measured."""

    id: str
    left: int


def _app() -> App:
    from onstage.app import App
    from onstage.contracts.service import Service

    service = Service("bench")

    @service.on(Hop)
    async def pass_on(e: Hop) -> Hop | None:
        return Hop(e.id, e.left - 1) if e.left > 1 else None

    return App(service)


async def measure(seconds: float) -> dict[str, Any]:
    """Latency of lone chains for a third of the time, then the rate with many at once."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="onstage-bench-") as folder:
        async with _app().run(f"sqlite:///{folder}/bench.db") as stage:
            lone = await _alone(stage, loop.time() + seconds / 3)
            began = loop.time()
            chains = await _together(stage, began + seconds * 2 / 3)
            took = loop.time() - began
    p95 = quantiles(lone, n=20)[-1] if len(lone) > 1 else lone[0]
    return {
        "hops": HOPS,
        "at_once": AT_ONCE,
        "lone_ms_median": median(lone) * 1000,
        "lone_ms_p95": p95 * 1000,
        "chains": chains,
        "chains_per_s": chains / took,
        "hops_per_s": chains * HOPS / took,
    }


async def _alone(stage: Stage, until: float) -> list[float]:
    loop, found = asyncio.get_running_loop(), list[float]()
    while not found or (loop.time() < until and len(found) < LONE_CHAINS):
        began = loop.time()
        await _chain(stage, f"lone-{len(found)}")
        found.append(loop.time() - began)
    return found


async def _together(stage: Stage, until: float) -> int:
    loop, counts = asyncio.get_running_loop(), [0] * AT_ONCE

    async def repeat(place: int) -> None:
        while not counts[place] or loop.time() < until:
            await _chain(stage, f"{place}-{counts[place]}")
            counts[place] += 1

    await asyncio.gather(*(repeat(place) for place in range(AT_ONCE)))
    return sum(counts)


async def _chain(stage: Stage, key: str) -> None:
    process = await stage.emit(Hop(key, HOPS))
    await process.verdict(timeout=None)
