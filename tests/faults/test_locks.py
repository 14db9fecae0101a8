"""Another process holds the file's lock in the middle of the play: the engine says so, waits, and loses nothing."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults import holder
from tests.faults.checks import check_ended
from tests.faults.play import ACTS, app, outside

from onstage.errors import NodeRunning, StoreUnavailable
from onstage.stage import LocalWays
from onstage.stores.sqlite import connection, store
from onstage.testing.sim_world import World

BUSY_MS = 60  # as the engine waits, only shorter


class Holder:
    """The other process."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, holder.__file__, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def let_go(self) -> None:
        assert self.process.communicate(timeout=20)[0] == "free\n"
        assert self.process.returncode == 0


async def stubborn_client(world: World) -> str:
    """Emits something until it is taken."""
    while True:
        try:
            return await LocalWays(world.node).emit("play.cue", b'{"key":"x"}', id="extra", source=None)
        except StoreUnavailable:
            await asyncio.sleep(1)


@contextmanager
def another_process(path: Path) -> Iterator[Holder]:
    held = Holder(path)
    try:
        yield held
    finally:
        if held.process.poll() is None:
            held.process.kill()
            held.process.communicate()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_MS", BUSY_MS)
    outside.effects.clear()
    outside.now = lambda: 0


@pytest.mark.parametrize("place", range(1, len(ACTS)))
def test_a_file_that_another_process_has_locked_is_waited_for(place: int, tmp_path: Path, repeated: list[str]) -> None:
    world = World(app, 1, tmp_path / "play.db", synchronous="FULL")
    world.start()
    try:
        for act in ACTS[:place]:
            act(world)
        with another_process(world.path) as held:
            before = world.store.statistics()["commits"]
            client = world.loop.create_task(stubborn_client(world))
            world.loop.run_to(world.loop.time() + 3)
            assert (world.store.trouble or "").splitlines() == [
                "the store is locked",
                "  why: another program holds a write transaction on the file",
                "  to do: let it finish or stop it; work goes on by itself",
            ]
            assert world.store.statistics()["commits"] == before
            held.let_go()
        world.call(lambda: asyncio.wait([client]))
        assert client.result()
        world.settle()
        assert world.store.trouble is None
        assert world.store.statistics()["commits"] > before
        for act in ACTS[place:]:
            act(world)
        check_ended(world, repeated)
    finally:
        world.close()


def test_a_node_does_not_start_on_a_locked_file_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "play.db"
    first = World(app, 1, path)
    first.start()
    monkeypatch.setattr(store, "LOCK_WAIT_S_MAX", 0.1)
    second = World(app, 2, path)
    with pytest.raises(NodeRunning, match="another node"):
        second.start()
    vars(second).pop("node", None)
    second.close()
    first.close()
    with another_process(path):
        third = World(app, 3, path)
        with pytest.raises(StoreUnavailable, match=r"cannot open .*\n  why: database is locked"):
            third.start()
        vars(third).pop("node", None)
        third.close()
