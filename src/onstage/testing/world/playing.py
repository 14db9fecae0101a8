"""Plays one world from its beginning to its end: first faults strike, then all has to end, and every check to hold."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Self, final

from onstage.testing.checks.open_files import open_descriptors
from onstage.testing.world.calm import calm_down
from onstage.testing.world.invariants import check_at_rest
from onstage.testing.world.kept_file import KeptFile
from onstage.testing.world.world_run import Result, World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Ground", "play", "run"]

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it


@final
class Ground:
    """Where worlds are played, one after the other. Use it in a `with`: its files go with it."""

    def __init__(self) -> None:
        """Make a folder, in memory where the system has such."""
        place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
        self._folder = TemporaryDirectory(prefix="onstage-world-", dir=place)
        self._worlds = 0
        self._kept: KeptFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave_file()
        self._folder.cleanup()

    def _leave_file(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def play(self, seed: int, tape: Mapping[str, Sequence[int]] | None = None) -> Result:
        """Play the world of this seed, or of an earlier tape of it, and answer what became of it.

        It does not matter which worlds were played here before: a file on which something did not hold is given up.
        """
        self._worlds += 1
        folder = Path(self._folder.name)
        kept = self._kept = self._kept or KeptFile(folder / f"{self._worlds}.db")
        result = run(World(seed, folder / str(self._worlds), kept, tape))
        if kept.lent:
            result.violations.append(f"I15: {kept.lent} connections are still open when all is over")
        if result.violations:
            self._leave_file()
        else:
            kept.empty()
        return result


def play(seed: int, tape: Mapping[str, Sequence[int]] | None = None) -> Result:
    """Play the world of this seed, or of an earlier tape of it, on a ground of its own."""
    with Ground() as ground:
        return ground.play(seed, tape)


def run(world: World) -> Result:
    """Faults first, then calm; then everything must have ended, and every check must hold."""
    try:
        world.storm()
        calm_down(world)
        check_at_rest(world)
    except Exception as error:  # noqa: BLE001  whatever breaks a world is a finding
        world.onlooker.complain("world", f"{type(error).__name__}: {error}")
    finally:
        world.close()
    if (left := open_descriptors() - world.descriptors) > 0:
        world.onlooker.complain("I15", f"{left} files are still open when all is over")
    return world.result()
