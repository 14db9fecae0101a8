"""An SQLite VFS that records every change of a file, fails where it is told to, and can be cut off from power.

    with PowerVFS("flaky", [Fault(at=40, kind=FaultKind.SYNC_ERROR)]) as vfs:
        store = SqliteStore(path, clock=clock, workers=workers, vfs=vfs.name)
        ...
    vfs.disk.leave(at=55, seed=3, folder=other)  # the files as if the power had gone after 55 operations

Operations are counted from 0: creations, writes, truncations, syncs and deletions of databases, journals and
write-ahead logs. Real files are written too, by SQLite's own VFS below, and its locks and shared memory are used, so
that several connections and processes work as ever. Real syncs are left out: what survives is the model's business
(`power_disk`), and tests need not wait for it.

Two things differ from a disk that fails below a VFS in C, since an exception is on its way and not only a code: an
error in the checkpoint that follows a commit is raised by that COMMIT, though it has happened; and an error while a
connection is closed by force is told to `sys.unraisablehook`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, final

import apsw

from onstage.testing.power_disk import Disk, Kind, Operation

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Fault", "FaultKind", "PowerVFS"]

_LASTING: Final = (
    apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
)


class FaultKind(StrEnum):
    """What goes wrong."""

    CUT = "power cut"
    """Nothing works from here on, reads included, and nothing more is recorded."""
    SYNC_ERROR = "sync error"
    """A sync fails; what it was to bring to the disk may be there or not, for good."""
    LOST_SYNC = "lost sync"
    """A sync succeeds and does nothing: a lying disk, which nobody can survive. Proves that a test sees losses."""
    WRITE_ERROR = "write error"
    """A write fails (EIO) without effect."""
    FULL = "disk full"
    """A write fails (ENOSPC) without effect."""
    SHORT_WRITE = "short write"
    """A write fails (ENOSPC) after its first half."""


@dataclass(frozen=True, slots=True)
class Fault:
    """From operation number `at` on, the next `times` operations that it fits meet this fault."""

    at: int
    kind: FaultKind
    times: int = 1


_FITS: Final[dict[FaultKind, tuple[Kind, ...]]] = {
    FaultKind.CUT: ("create", "write", "truncate", "sync", "delete"),
    FaultKind.SYNC_ERROR: ("sync",),
    FaultKind.LOST_SYNC: ("sync",),
    FaultKind.WRITE_ERROR: ("write",),
    FaultKind.FULL: ("write",),
    FaultKind.SHORT_WRITE: ("write",),
}
_ERRORS: Final = {
    FaultKind.SYNC_ERROR: apsw.SQLITE_IOERR_FSYNC,
    FaultKind.WRITE_ERROR: apsw.SQLITE_IOERR_WRITE,
    FaultKind.FULL: apsw.SQLITE_FULL,
    FaultKind.SHORT_WRITE: apsw.SQLITE_FULL,
}


@final
class PowerVFS(apsw.VFS):
    """Registered under its name from the start; `close` (or `with`) unregisters it when all files are closed."""

    def __init__(self, name: str, faults: Iterable[Fault] = (), *, is_default: bool = False) -> None:
        """Register. With `is_default`, connections that name no VFS use this one: for a process of its own."""
        self.name = name
        self.disk = Disk()
        self.met: list[tuple[int, FaultKind]] = []
        """Which operation met which fault, so far."""
        self.on_operation: Callable[[int], None] = lambda _: None
        """Called with the number of each operation before it happens."""
        self.is_cut = False
        self.life = 0
        self._faults: list[Fault] = []
        self.below = apsw.vfs_names()[0]
        """The name of the VFS that does the work: what was the default so far."""
        self.fail(*faults)
        super().__init__(name, self.below, makedefault=is_default)

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unregister."""
        self.unregister()

    @property
    def count(self) -> int:
        """How many operations there were: the number of the next one."""
        return len(self.disk.operations)

    def fail(self, *faults: Fault) -> None:
        """Add faults."""
        self._faults.extend(fault for fault in faults for _ in range(fault.times))

    def heal(self) -> None:
        """Forget all faults that have not happened, and the rest of those that have begun."""
        self._faults.clear()

    def kill(self) -> None:
        """The process dies, the machine does not: files that are open do nothing more, and what they wrote is seen."""
        self.life += 1

    # What SQLite calls.

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file; one that lasts is recorded, a temporary one is SQLite's own business."""
        if name is None or not flags[0] & _LASTING:
            return apsw.VFSFile(self.below, name, flags)
        path = name if isinstance(name, str) else name.filename()
        self.refuse_if_cut()
        if not self.disk.has(path):
            if Path(path).exists():
                self.disk.operations.append(Operation("found", path, 0, Path(path).read_bytes()))
            elif flags[0] & apsw.SQLITE_OPEN_CREATE:
                self.happen(Operation("create", path))
        return _RecordedFile(self, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802  SQLite's signature
        """Delete a file."""
        self.refuse_if_cut()
        if Path(filename).exists():
            self.happen(Operation("delete", filename, int(syncdir)))
        super().xDelete(filename, syncdir)

    def xSleep(self, microseconds: int) -> int:  # noqa: N802
        """Sleep not at all: whoever waits for a lock asks again at once."""
        return microseconds

    def excepthook(self, *unraised: Any) -> bool:
        """Nothing to report: SQLite has the error's code, and decides what it means."""
        return isinstance(unraised[1], apsw.Error)

    # What files call.

    def refuse_if_cut(self) -> None:
        """Raise an I/O error after a power cut."""
        if self.is_cut:
            raise _error(apsw.SQLITE_IOERR)

    def happen(self, operation: Operation, check: Callable[[], None] | None = None) -> None:
        """Record one operation, or the fault it meets; raises the fault unless SQLite is not to know."""
        self.on_operation(self.count)
        (check or self.refuse_if_cut)()  # whoever watches may have ended it
        met = self._meet(operation.kind)
        if met is None:
            self.disk.operations.append(operation)
            return
        self.met.append((self.count, met))
        if met is FaultKind.CUT:
            self.is_cut = True
            self.refuse_if_cut()
        self.disk.operations.append(_instead(met, operation))
        if met in _ERRORS:
            raise _error(_ERRORS[met])

    def _meet(self, kind: Kind) -> FaultKind | None:
        for place, fault in enumerate(self._faults):
            if self.count >= fault.at and kind in _FITS[fault.kind]:
                del self._faults[place]
                return fault.kind
        return None


@final
class _RecordedFile(apsw.VFSFile):
    def __init__(self, vfs: PowerVFS, path: str, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        self._path = path
        self._life = vfs.life
        super().__init__(vfs.below, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._refuse_if_dead()
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        try:
            self._happen(Operation("write", self._path, offset, bytes(data)))
        except apsw.FullError:
            self._write_half(data, offset)
            raise
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._happen(Operation("truncate", self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._happen(Operation("sync", self._path))

    def excepthook(self, *unraised: Any) -> bool:
        return self._vfs.excepthook(*unraised)

    def _happen(self, operation: Operation) -> None:
        self._refuse_if_dead()
        self._vfs.happen(operation, self._refuse_if_dead)

    def _refuse_if_dead(self) -> None:
        self._vfs.refuse_if_cut()
        if self._life != self._vfs.life:
            raise _error(apsw.SQLITE_IOERR)

    def _write_half(self, data: bytes, offset: int) -> None:
        """What the record says of a short write happens to the real file too."""
        if self._vfs.met[-1][1] is FaultKind.SHORT_WRITE:
            super().xWrite(data[: len(data) // 2], offset)


def _error(code: int) -> Exception:
    """The error that SQLite itself would raise, with its words."""
    error = apsw.exception_for(code)
    error.args = ("database or disk is full" if code == apsw.SQLITE_FULL else "disk I/O error",)
    return error


def _instead(met: FaultKind, operation: Operation) -> Operation:
    match met:
        case FaultKind.SYNC_ERROR:
            return Operation("failed sync", operation.file)
        case FaultKind.SHORT_WRITE:
            return Operation("write", operation.file, operation.offset, operation.data[: len(operation.data) // 2])
        case _:
            return Operation("nothing", operation.file)
