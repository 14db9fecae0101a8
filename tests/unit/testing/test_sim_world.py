"""A world without tests around it: boundaries, kills, and that it closes cleanly."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from onstage import App, Service, event, step
from onstage.testing.sim_world import World


@event("world.begun")
@dataclass(frozen=True)
class Begun:
    n: int


@step
async def act(n: int) -> int:
    return n


service = Service("service")


@service.on(Begun)
async def play(e: Begun) -> None:
    await act(e.n)


@pytest.mark.parametrize("phase", ["before", "written", "after"])
def test_a_kill_at_a_boundary_starts_another_node_that_ends_the_work(phase: str, tmp_path: Path) -> None:
    world = World(App(service), 1, tmp_path / "world.db")
    world.kills_at = {(1, phase)}
    world.start()
    try:
        world.emit(Begun(1), None, None, None)
        world.settle()
        assert world.kills == 1
        assert world.faults.calls[act] == 1
        assert world.boundaries[0] == (1, "before")
        assert not world.node.open
    finally:
        world.close()


def test_time_passes_only_when_asked(tmp_path: Path) -> None:
    world = World(App(service), 1, tmp_path / "world.db")
    world.start()
    try:
        world.advance(90)
        assert world.loop.time() == 90
        world.restart()
        assert world.loop.time() == 90
    finally:
        world.close()
