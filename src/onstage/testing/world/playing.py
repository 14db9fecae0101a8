"""Plays one world from its beginning to its end: first faults strike, then all has to end, and every check to hold."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from onstage.testing.checks.open_files import open_descriptors
from onstage.testing.world.calm import calm_down
from onstage.testing.world.invariants import check_at_rest
from onstage.testing.world.world_run import Result, World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["play", "run"]

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it


def play(seed: int, tape: Mapping[str, Sequence[int]] | None = None) -> Result:
    """Play the world of this seed, or of an earlier tape of it, and answer what became of it."""
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="onstage-world-", dir=place) as folder:
        return run(World(seed, Path(folder), tape))


def run(world: World) -> Result:
    """Faults first, then calm; then everything must have ended, and every check must hold."""
    try:
        world.storm()
        calm_down(world)
        check_at_rest(world)
    except Exception as error:  # noqa: BLE001  whatever breaks a world is a finding
        world.observer.complain("world", f"{type(error).__name__}: {error}")
    finally:
        world.close()
    if (left := open_descriptors() - world.descriptors) > 0:
        world.observer.complain("I15", f"{left} files are still open when all is over")
    return world.result()
