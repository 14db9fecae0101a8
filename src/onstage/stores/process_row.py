"""The row of a process in the ledger, while a batch works on it, and the receipt shard that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from onstage.core.identity import number_in

if TYPE_CHECKING:
    from onstage.core.commit import NewProcess

__all__ = ["SHARDS", "ProcessRow"]

SHARDS: Final = 64
"""Receipt shards; the shard of a process is the number of its root, in the store that has it, modulo this."""


@final
class ProcessRow:
    """The ledger's row of one process, while a batch works on it."""

    __slots__ = (
        "asked",
        "declared",
        "digest",
        "ended",
        "id",
        "key",
        "open",
        "outcome",
        "started",
        "undoable",
        "wire_id",
    )

    def __init__(self, row: tuple[Any, ...]) -> None:
        """Take over a stored row.

        Its columns: id, wire id, declared, key, digest (16 bytes), open, outcome, started, ended, undoable, asked.
        """
        self.id, self.wire_id, self.declared, self.key, digest, self.open, *rest = row
        self.digest = int.from_bytes(digest, "big")
        self.outcome: str | None
        self.started: int
        self.ended: int | None
        self.undoable: int
        self.asked: int
        self.outcome, self.started, self.ended, self.undoable, self.asked = rest

    @classmethod
    def new(cls, process: NewProcess) -> ProcessRow:
        """The row of a process that begins in this batch."""
        start = (process.process, process.wire_id, process.declared, process.key)
        return cls((*start, bytes(16), 0, None, process.started, None, 0, 0))

    @property
    def shard(self) -> int:
        """The receipt shard of the process: the same in every store that knows it."""
        n = number_in(self.wire_id)
        return (self.id if n is None else n) % SHARDS

    def values(self) -> tuple[Any, ...]:
        """The row as it is stored."""
        head = (self.id, self.wire_id, self.declared, self.key, self.digest.to_bytes(16, "big"), self.open)
        return (*head, self.outcome, self.started, self.ended, self.undoable, self.asked)
