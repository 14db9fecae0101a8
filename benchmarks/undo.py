"""How long a process of many services takes to be undone, beside the sum of its undos: `python -m benchmarks.undo`.

A tree of services: each does one step, and emits an event for each of its three children. Each undo takes 50 ms.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import make_dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from onstage import App, Process, Service, event, step
from onstage.events.receipt import Status
from onstage.testing import Sim

UNDO_S = 0.05


def tree(count: int, *, fan: int = 3, undo_s: float = UNDO_S) -> tuple[App, type[Any]]:
    """So many services, each with an event type of its own, and the type that begins with the first."""
    shapes = [make_dataclass(f"N{n}", [("key", str)], frozen=True) for n in range(count)]
    classes = [event(f"tree.n{n}", key="key")(shape) for n, shape in enumerate(shapes)]

    async def back(_result: None, _key: str) -> None:
        await asyncio.sleep(undo_s)

    @step(undo=back)
    async def grow(key: str) -> None: ...

    def service(n: int) -> Service:
        own, below = Service(f"s{n}"), classes[fan * n + 1 : fan * n + 1 + fan]

        async def handle(e: Any) -> Any:
            await grow(e.key)
            return tuple(cls(e.key) for cls in below)

        handle.__annotations__ = {"e": classes[n]}
        options: Any = {"name": "grow", "emits": below}
        own.on(classes[n], **options)(handle)
        return own

    return App(*map(service, range(count)), Process("tree", starts=classes[0], done=classes[-1])), classes[0]


async def virtual_s(count: int) -> float:
    """The time of the simulated clock from the request to the end."""
    app, first = tree(count)
    async with Sim(app) as sim:
        process = await sim.emit(first("t1"))
        await sim.settle()
        began = sim.clock.now_ms()
        await sim.control("undo", process)
        while sim.verdict("t1").status != "compensated":
            await sim.advance(0.01)
        assert not sim.read(lambda reader: reader.executions(statuses=range(Status.DONE)))
        return (sim.clock.now_ms() - began) / 1000


async def wall_s(count: int, path: Path) -> float:
    """The time of this machine, on a file."""
    app, first = tree(count)
    async with app.run(f"sqlite:///{path}") as stage:
        process = await stage.emit(first("t1"))
        await process.verdict(timeout=60)
        began = perf_counter()
        await stage.control("undo", process.id)
        verdict = await process.verdict(timeout=60)
        assert verdict.status == "compensated", str(verdict)
        return perf_counter() - began


if __name__ == "__main__":
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        took = asyncio.run(wall_s(services, Path(folder) / "tree.db"))
    serial = services * UNDO_S
    print(f"{services} services undone in {took:.2f} s, one after the other {serial:.1f} s: {serial / took:.1f} times")
