"""The disk of a world: a plain file, or in some worlds one that loses power and fails to sync."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

import apsw

from onstage.stores.sqlite import connection as files
from onstage.testing.power_vfs import Fault as DiskFault
from onstage.testing.power_vfs import FaultKind, PowerVFS
from onstage.testing.world.kept_file import IN_ONE_PROCESS, KeptFile
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from onstage.ports.payload_codec import PayloadCodec
    from onstage.stores.sqlite.store import Opener
    from onstage.testing.world.swarm import Swarm

__all__ = ["Power"]


@final
class Power:
    """Where the file is now, and how it is written."""

    def __init__(self, folder: Path, swarm: Swarm, seed: int, kept: KeptFile) -> None:
        """A disk that can lose power is made in this folder; else the world is given the kept file."""
        self._folder = folder
        self._swarm = swarm
        self._seed = seed
        self._cuts = 0
        self._vfs: PowerVFS | None = None
        self.is_on = swarm.has_power_faults
        self.offload_above: int | None = None
        self.codec: PayloadCodec | None = None
        self.path = folder / "0.db" if self.is_on else kept.path
        self.opener: Opener = files if self.is_on else kept
        """What opens the file for the node."""

        if self.is_on:
            folder.mkdir()
            self._vfs = PowerVFS(f"world-{seed}-0")

    @property
    def vfs_name(self) -> str:
        """What SQLite is to write through."""
        return IN_ONE_PROCESS if self._vfs is None else self._vfs.name

    @property
    def looking_through(self) -> str | None:
        """What those read through who look from outside."""
        return IN_ONE_PROCESS if self._vfs is None else None

    @property
    def synchronous(self) -> str:
        """Where no power is cut nothing needs to be synced."""
        return "FULL" if self.is_on else "OFF"

    def look(self) -> apsw.Connection:
        """A connection for whoever looks from outside."""
        return self.opener.open_reader(self.path, self.looking_through)

    def meddle(self) -> apsw.Connection:
        """A connection for whoever spoils the file behind everybody's back."""
        if self._vfs is None:
            return self.opener.open_writer(self.path, self.synchronous, self.looking_through)
        return apsw.Connection(str(self.path))

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
