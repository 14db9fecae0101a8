"""I12: the ledger is what its receipts add up to, and outcomes are what receipts put out."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from onstage.core.commit import event_of, execution_id
from onstage.events.receipt import Status
from onstage.observe.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["unbalanced", "wrong_outcomes"]

_SETTLED: Final = frozenset(
    {Status.DONE, Status.REJECTED, Status.SKIPPED, Status.DROPPED, Status.CANCELLED, Status.WRITTEN_OFF}
)


def unbalanced(file: StoredFile, *, partial: bool = False) -> Iterator[str]:
    """Where receipts, processes and executions do not add up. It must hold at any moment.

    With `partial` a process has ended here only if nothing is open and its digest is zero: other parts are elsewhere.
    """
    ledger = Ledger()
    seqs: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    settled: Counter[int] = Counter()
    for epoch, shard, seq, receipt in file.receipts:
        seqs[epoch, shard].append(seq)
        if not ledger.apply(epoch, shard, seq, receipt):
            yield "a receipt stands there twice"
        if receipt.handler and receipt.status in _SETTLED:
            settled[execution_id(receipt.event, receipt.handler)] += 1
    for place, found in seqs.items():
        if found != list(range(1, len(found) + 1)):
            yield f"receipts of {place} are not dense: {found}"
    for execution, row in file.executions.items():
        if settled[execution] != (not row.is_open):
            yield f"execution {execution} was settled {settled[execution]} times"
        if event_of(execution) not in file.events:
            yield f"execution {execution} has no event"
    yield from _processes(file, ledger, partial=partial)


def _processes(file: StoredFile, ledger: Ledger, *, partial: bool) -> Iterator[str]:
    counted = Counter(row.process for row in file.executions.values() if row.gating and row.is_open)
    for process, digest, is_open, ended in file.rows("select id, digest, open, ended from onstage_process"):
        if ledger.digests.get(process, 0) != int.from_bytes(digest, "big"):
            yield f"process {process}: the ledger differs from its receipts"
        if not partial and (is_open == 0) != (not any(digest)):
            yield f"process {process}: {is_open} open, digest {digest.hex()}"
        if counted[process] != is_open:
            yield f"process {process}: {is_open} open, counted {counted[process]}"
        if (is_open == 0 and not (partial and any(digest))) != (ended is not None):
            yield f"process {process}: {is_open} open, ended at {ended}"


def wrong_outcomes(
    file: StoredFile, decisive: Mapping[str, Collection[str]], made: Collection[str] = ()
) -> Iterator[str]:
    """Processes whose outcome is not the first one that their receipts put out.

    `decisive` gives the event types that are outcomes, by the name of the declared process. Only outcomes that handlers
    emit are looked at, and those of the types `made`, which the engine emits itself.
    """
    types = dict(file.rows("select id, name from onstage_type"))
    outputs: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for *_, receipt in file.receipts:
        outputs[receipt.process].extend((n, types[number]) for n, number in receipt.outputs)
    for n, event in file.events.items() if made else ():
        if event.type in made:
            outputs[event.process].append((n, event.type))
    for process, declared, outcome in file.rows("select id, declared, outcome from onstage_process"):
        names = decisive.get(declared or "", ())
        first = next((name for _, name in sorted(outputs[process]) if name in names), None)
        if outcome != first:
            yield f"process {process} came to {outcome}, its receipts say {first}"
