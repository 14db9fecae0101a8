"""The ledger as a pure fold over receipts: the same rows as the store keeps, rebuilt from zero.

A process is quiescent when no obligation of it is open. Independently of that count, the XOR of all deltas must then
be zero. Proof sketch: if the digest is zero, each token occurred an even number of times; the root's tokens were
opened once, so their receipts were applied; by induction over the finite causation tree every obligation was settled.
XOR does not care about order, and a receipt is applied once (its `seq` is dense per writer incarnation and shard).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from onstage.events.receipt import Receipt

__all__ = ["Ledger"]


@final
class Ledger:
    """Digests of processes, folded from receipts in any order."""

    def __init__(self) -> None:
        """Nothing applied yet."""
        self.digests: dict[int, int] = {}
        self._applied: set[tuple[int, int, int]] = set()

    def apply(self, epoch: int, shard: int, seq: int, receipt: Receipt) -> bool:
        """Apply one receipt; answers False for one that was applied before."""
        if (epoch, shard, seq) in self._applied:
            return False
        self._applied.add((epoch, shard, seq))
        digest = self.digests.get(receipt.process, 0)
        self.digests[receipt.process] = digest ^ int.from_bytes(receipt.delta, "big")
        return True

    def is_quiescent(self, process: int) -> bool:
        """Whether everything that was opened in this process was settled."""
        return self.digests.get(process, 0) == 0
