"""The receipts of a store as a ledger anywhere takes them: with public ids, and with what each of them opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from onstage.contracts.manifest import from_stored
from onstage.contracts.topology import Topology
from onstage.core.identity import Identity
from onstage.events.receipt import token
from onstage.events.wire_receipt import WireReceipt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onstage.events.receipt import Receipt
    from onstage.observe.ledger import Ledger
    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["Exported", "exported", "fold_into"]


class Exported(NamedTuple):
    """One receipt: its place in the strand of its writer, and the obligations that it opens, as (event, handler)."""

    epoch: int
    shard: int
    seq: int
    receipt: WireReceipt
    opens: tuple[tuple[str, str], ...]


def exported(file: StoredFile) -> Iterator[Exported]:
    """All receipts of a store that holds whole processes, in the order in which they were written.

    What an output opens follows from its type and the topology that is stamped on it, not from the store's executions:
    so a ledger that is made of them judges those. A handler that was renamed while it was owed is not recognised.
    """
    names = _Names(file)
    opened: set[int] = set()
    for epoch, shard, seq, receipt in file.receipts:
        handler, opens = file.handlers.get(receipt.handler, ""), list[tuple[str, str]]()
        if not receipt.handler and receipt.event in opened:
            handler = names.latecomer(receipt)
            opens.append((names.wire(receipt.event), handler))
        emitted = [n for n, _ in receipt.outputs] if receipt.handler else [] if handler else [receipt.event]
        opened.update(emitted)
        if any(receipt.delta):
            opens += [(names.wire(n), name) for n in emitted for name in names.owed(n)]
        yield Exported(epoch, shard, seq, names.translated(receipt, handler), tuple(opens))


def fold_into(ledger: Ledger, receipts: Sequence[Exported]) -> None:
    """Let a ledger take them."""
    for epoch, shard, seq, receipt, opens in receipts:
        ledger.apply(epoch, shard, seq, receipt, opens)


class _Names:
    def __init__(self, file: StoredFile) -> None:
        self._file = file
        ((store,),) = file.rows("select value from onstage_meta where name = 'store'")
        firsts = tuple(file.rows("select first_n, name from onstage_incarnation order by epoch"))
        self.wire = Identity(store, firsts).wire
        self._stamped: dict[int, int] = dict(file.rows("select n, topology from onstage_event"))
        self._topologies = {
            epoch: Topology(epoch=epoch, handlers=from_stored(manifest).handlers)
            for epoch, manifest in file.rows("select epoch, manifest from onstage_topology")
        }

    def owed(self, n: int) -> list[str]:
        """The names of the obligations that an event opens."""
        topology = self._topologies.get(self._stamped[n])
        return [] if topology is None else sorted(topology.obligations(self._file.events[n].type))

    def latecomer(self, receipt: Receipt) -> str:
        """Whose obligation is opened after its event was emitted; empty if nobody's token is that."""
        process, event = self.wire(receipt.process), self.wire(receipt.event)
        delta = int.from_bytes(receipt.delta, "big")
        return next((name for name in self._file.handlers.values() if token(process, event, name, 0) == delta), "")

    def translated(self, receipt: Receipt, handler: str) -> WireReceipt:
        return WireReceipt(
            self.wire(receipt.process),
            self.wire(receipt.event),
            handler,
            receipt.segment,
            receipt.status,
            receipt.hlc,
            receipt.delta,
            tuple((self.wire(n), self._file.events[n].type) for n, _ in receipt.outputs),
            receipt.started,
            receipt.ended,
            receipt.attempts,
            receipt.error,
            receipt.until,
            receipt.waits,
        )
