"""The disk after a power cut: what a log of writes and syncs leaves behind, worked out for any moment of it.

The model is what SQLite assumes of hardware (sqlite.org/atomic.html section 2, sqlite.org/psow.html), no kinder:

* what was synced stays; everything since the last successful sync of its file is unsynced;
* of unsynced writes each 512-byte sector is kept, lost, or left as it was at some moment in between; it may be torn:
  a write of it reached the disk from its start or from its end on, up to any byte. Bytes beside a write are never
  harmed ("powersafe overwrite", which the unix VFS claims of every disk);
* a file's size is changed before its content: where it grew and the content was lost, there are zeros or garbage;
* sizes and truncations reach the disk in their order, and any number of the last ones may be lost;
* the name of a file is durable from its first sync on (as ext4, xfs and btrfs have it), a deletion from the next sync
  of the directory on, or when a later file of that name was synced. Deleting is all or nothing;
* after a failed sync nobody knows: each sector is on disk or it is not, and later syncs do not bring it there, since
  the system takes the pages for clean (Linux; Rebello and others, "Can Applications Recover from fsync Failures?",
  ATC 2020). Reads see it all the while.

Every choice is drawn from the seed: the same log, moment and seed give the same files.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, Literal, final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SECTOR", "Disk", "Kind", "Operation"]

SECTOR: Final = 512
"""Bytes that a disk writes in one go."""

_KEPT: Final = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How likely a sector is kept whole, drawn once per file and cut: nothing and everything are among it."""

_TORN: Final = 0.4
_GARBAGE: Final = 0.3

_NAMING: Final = ("found", "create", "delete")

Kind = Literal["found", "create", "write", "truncate", "sync", "failed sync", "delete", "nothing"]
"""What an operation did. `found` is a file that was there before, `nothing` one that failed without effect."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one file.

    `offset` is where a write begins, the new size of a truncation, and 1 for a deletion that syncs the directory.
    """

    kind: Kind
    file: str
    offset: int = 0
    data: bytes = b""


@final
class Disk:
    """A log of operations. Whoever writes appends to `operations`; `survivors` reads."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self.operations: list[Operation] = []
        self._image = _Image(0)

    def has(self, path: str) -> bool:
        """Whether a file of this name is there now, as those who use the disk see it."""
        last = next((o.kind for o in reversed(self.operations) if o.file == path and o.kind in _NAMING), "delete")
        return last != "delete"

    def survivors(self, at: int, seed: int) -> dict[str, bytes]:
        """The files, by path, after a power cut when the first `at` operations had been made. Quickest in order."""
        assert 0 <= at <= len(self.operations), f"there are {len(self.operations)} operations, not {at}"
        if at < self._image.at or seed != self._image.seed:
            self._image = _Image(seed)
        self._image.advance(self.operations[self._image.at : at])
        return self._image.after_cut(Random(f"cut {seed} {at}"))

    def leave(self, at: int, seed: int, folder: Path) -> None:
        """Write the survivors into `folder`, by their names."""
        for path, content in self.survivors(at, seed).items():
            (folder / Path(path).name).write_bytes(content)


@dataclass(slots=True, eq=False)
class _File:
    """One file: what is durable, and the writes and truncations since then. Names come and go, files stay."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def settle(self) -> None:
        """Everything so far is durable."""
        for operation in self.pending:
            if operation.kind == "truncate":
                _resize(self.durable, operation.offset)
            else:
                _put(self.durable, operation.offset, operation.data)
        self.pending.clear()

    def after_cut(self, chance: Random) -> bytearray:
        """What is left of the content."""
        if not self.pending:
            return bytearray(self.durable)
        kept = chance.choice(_KEPT)
        ordered = len(self.pending) if chance.random() < kept else chance.randint(0, len(self.pending))
        size = self._size_after(ordered)
        pieces = _surviving(self.pending, kept, chance)
        left = bytearray(self.durable)
        if size > len(left):
            left += _unwritten(size - len(left), chance)
        for place, operation in enumerate(self.pending):
            if operation.kind == "truncate" and place < ordered:
                _resize(left, operation.offset)
            for offset, data in pieces.get(place, ()):
                _put(left, offset, data)
        _resize(left, size)
        return left

    def _size_after(self, ordered: int) -> int:
        size = len(self.durable)
        for operation in self.pending[:ordered]:
            end = operation.offset + len(operation.data)
            size = end if operation.kind == "truncate" else max(size, end)
        return size


@final
class _Image:
    """The state of the disk and of the caches above it after the first `at` operations."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.at = 0
        self._open: dict[str, _File] = {}
        # By name: what the directory says on the disk, and what became of the name since then.
        self._entries: dict[str, _File | None] = {}
        self._changes: defaultdict[str, list[_File | None]] = defaultdict(list)

    def advance(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            self._apply(operation)
            self.at += 1

    def _apply(self, operation: Operation) -> None:
        path = operation.file
        match operation.kind:
            case "found":
                self._open[path] = self._entries[path] = _File(bytearray(operation.data))
            case "create":
                self._open[path] = _File()
                self._changes[path].append(self._open[path])
            case "write" | "truncate":
                self._open[path].pending.append(operation)
            case "sync":
                self._open[path].settle()
                self._settle_name(path)
            case "failed sync":
                file = self._open[path]
                file.durable = file.after_cut(Random(f"failed sync {self.seed} {self.at}"))
                file.pending.clear()
            case "delete":
                del self._open[path]
                self._changes[path].append(None)
                for name in [*self._changes] if operation.offset else ():
                    self._settle_name(name)
            case "nothing":
                pass

    def _settle_name(self, path: str) -> None:
        for file in self._changes.pop(path, ()):
            self._entries[path] = file

    def after_cut(self, chance: Random) -> dict[str, bytes]:
        left: dict[str, bytes] = {}
        for path in sorted({*self._entries, *self._changes}):
            states = [self._entries.get(path), *self._changes.get(path, ())]
            file = chance.choice(states)
            if file is not None:
                left[path] = bytes(file.after_cut(chance))
        return left


def _surviving(pending: list[Operation], kept: float, chance: Random) -> dict[int, list[tuple[int, bytes]]]:
    """What of each pending write reaches the disk, sector by sector: place in `pending` -> pieces."""
    sectors: defaultdict[int, list[tuple[int, int, bytes]]] = defaultdict(list)
    for place, operation in enumerate(pending):
        if operation.kind == "write":
            for offset, data in _pieces(operation.offset, operation.data):
                sectors[offset // SECTOR].append((place, offset, data))
    survivors: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for versions in sectors.values():
        whole = len(versions) if chance.random() < kept else chance.randrange(len(versions)) if kept else 0
        for place, offset, data in versions[:whole]:
            survivors[place].append((offset, data))
        if whole < len(versions) and kept > 0 and chance.random() < _TORN:
            place, offset, data = versions[whole]
            cut = chance.randint(0, len(data))
            torn = (offset, data[:cut]) if chance.random() < 0.5 else (offset + cut, data[cut:])
            survivors[place].append(torn)
    return survivors


def _pieces(offset: int, data: bytes) -> Iterable[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        end = start + SECTOR - (offset + start) % SECTOR
        yield offset + start, data[start:end]
        start = end


def _unwritten(size: int, chance: Random) -> bytes:
    return chance.randbytes(size) if chance.random() < _GARBAGE else bytes(size)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content += bytes(offset - len(content))
    content[offset : offset + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content += bytes(size - len(content))
