"""`Sim` as a context manager; what happens inside is in `tests/scenario/test_sim.py`."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from onstage import App, Service, event
from onstage.ports.store import Reader
from onstage.testing import Sim


@event("sim.begun")
@dataclass(frozen=True)
class Begun:
    n: int


service = Service("service")


@service.on(Begun)
async def play(e: Begun) -> None:
    pass


async def count(reader: Reader) -> int:
    return len(await reader.events())


def test_a_world_begins_empty_and_leaves_nothing_behind() -> None:
    async def main() -> Path:
        async with Sim(App(service)) as sim:
            assert sim.read(count) == 0
            await sim.emit(Begun(1))
            assert sim.read(count) == 1
            assert sim.world.path.exists()
            return sim.world.path.parent

    assert not asyncio.run(main()).exists()


def test_every_crash_needs_no_world_around_it_and_counts_the_points() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.emit(Begun(1))
        await sim.settle()
        assert sim.read(count) == 1

    assert asyncio.run(Sim(App(service)).every_crash(scenario)) == 2
