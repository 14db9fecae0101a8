"""The disk of a world: a plain file, or in some worlds one that loses power and fails to sync."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from onstage.testing.power_vfs import Fault as DiskFault
from onstage.testing.power_vfs import FaultKind, PowerVFS
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from onstage.testing.world.swarm import Swarm

__all__ = ["Power"]

IN_ONE_PROCESS: Final = "unix-excl"


@final
class Power:
    """Where the file is now, and how it is written."""

    def __init__(self, folder: Path, swarm: Swarm, seed: int) -> None:
        """In this folder."""
        self._folder = folder
        self._swarm = swarm
        self._seed = seed
        self._cuts = 0
        self._vfs: PowerVFS | None = None
        self.is_on = swarm.has_power_faults
        self.path = folder / "0.db"
        if self.is_on:
            self._vfs = PowerVFS(f"world-{seed}-0")

    @property
    def vfs_name(self) -> str:
        """What SQLite is to write through. One process only has the file: the log's index need not be shared."""
        return IN_ONE_PROCESS if self._vfs is None else self._vfs.name

    @property
    def looking_through(self) -> str | None:
        """What those read through who look from outside."""
        return IN_ONE_PROCESS if self._vfs is None else None

    @property
    def synchronous(self) -> str:
        """Where no power is cut nothing needs to be synced."""
        return "FULL" if self.is_on else "OFF"

    def strike(self) -> None:
        """Perhaps the power goes, perhaps the next sync fails."""
        vfs = self._vfs
        if vfs is None or self._swarm.is_calm:
            return
        if self._swarm.strikes(Fault.SYNC_ERROR):
            vfs.fail(DiskFault(vfs.count, FaultKind.SYNC_ERROR, 1 + self._swarm.amount(Fault.SYNC_ERROR, 2)))

    def after_kill(self) -> None:
        """The process is gone: open files do nothing more. Perhaps the power goes with it."""
        vfs = self._vfs
        if vfs is None:
            return
        vfs.kill()
        vfs.heal()
        if not self._swarm.strikes(Fault.POWER_CUT):
            return
        self._cuts += 1
        folder = self._folder / str(self._cuts)
        folder.mkdir()
        vfs.disk.leave(vfs.count, self._seed + self._cuts, folder)
        vfs.unregister()
        self.path = folder / self.path.name
        self._vfs = PowerVFS(f"world-{self._seed}-{self._cuts}")

    def calm(self) -> None:
        """No fault any more."""
        if self._vfs is not None:
            self._vfs.heal()

    def close(self) -> None:
        """Let go of the disk."""
        if self._vfs is not None:
            self._vfs.kill()
            self._vfs.unregister()
