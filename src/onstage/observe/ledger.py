"""The ledger as a pure fold over receipts: the same rows as the store keeps, rebuilt from zero or from a checkpoint.

A process is quiescent when no obligation of it is open. Independently of that set, the XOR of all deltas must then
be zero. Proof sketch: if the digest is zero, each token occurred an even number of times; the root's tokens were
opened once, so their receipts were applied; by induction over the finite causation tree every obligation was settled.
XOR does not care about order, and a receipt is applied once (its `seq` is dense per writer incarnation and shard).

Theory of operation. What a receipt settles it says itself. What it opens follows from its outputs and the topology that
is stamped on each of them, which whoever reads the receipts knows and gives along: handlers that join or leave while a
process runs change what later events owe, and nothing that was opened before. An obligation that is settled before its
opening was heard of is kept with a negative count, so that any order comes to the same rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

import msgspec

from onstage.events.codec import DecodeFailed
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.events.receipt import Receipt
    from onstage.events.wire_receipt import WireReceipt

__all__ = ["Ledger", "LedgerRow", "Obliged", "Standing"]

Name = int | str
"""A process, event or handler: a number of one store, or a public id where stores meet."""

_OF_MAIL = (Status.CONSUMED, Status.UNMATCHED, Status.LATE)
_WRITTEN_OFF = (Status.SKIPPED, Status.DROPPED, Status.WRITTEN_OFF)


class Obliged(NamedTuple):
    """One segment of one obligation. `handler` ends in `/wait` where it is that of a mailbox."""

    event: Name
    handler: Name
    segment: int = 0


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What the newest receipt that settled nothing said of an obligation: `until` when (ms), for which types."""

    hlc: int
    seq: int
    status: int
    until: int | None = None
    waits: str | None = None
    error: str | None = None


class LedgerRow(msgspec.Struct, frozen=True, array_like=True):
    """One process: what is open, and what its receipts add up to. Equal for the same receipts in whatever order.

    `early` are obligations that were settled before their opening was heard of. `opened` counts the receipts that
    opened from outside an execution: the root, an outside event, a late subscriber, a replay. `written_off` counts what
    was settled without having run; `mail` what waits settled, as consumed, unmatched and late.
    """

    process: Name
    digest: bytes
    open: tuple[tuple[Obliged, Standing | None], ...]
    early: tuple[Obliged, ...]
    receipts: int
    opened: int
    written_off: int
    mail: tuple[int, int, int]
    hlc: int
    rooted: bool

    @property
    def is_complete(self) -> bool:
        """Whether its root was heard of, and nothing of it is open."""
        return self.rooted and not self.open and not self.early

    @property
    def is_violated(self) -> bool:
        """Whether the digest and the set of open obligations do not say the same."""
        return any(self.digest) == (not self.open and not self.early)


class _Account(msgspec.Struct):
    counts: dict[Obliged, int] = {}
    standing: dict[Obliged, Standing] = {}
    receipts: int = 0
    opened: int = 0
    written_off: int = 0
    mail: tuple[int, int, int] = (0, 0, 0)
    hlc: int = 0
    rooted: bool = False

    def add(self, obliged: Obliged, amount: int) -> None:
        count = self.counts.pop(obliged, 0) + amount
        if count:
            self.counts[obliged] = count
        else:
            self.standing.pop(obliged, None)

    def tell(self, obliged: Obliged, seq: int, receipt: Receipt | WireReceipt) -> None:
        known = self.standing.get(obliged)
        said = Standing(receipt.hlc, seq, receipt.status, receipt.until, receipt.waits, receipt.error)
        if known is None or (known.hlc, known.seq) < (said.hlc, seq):
            self.standing[obliged] = said


class _Mark(msgspec.Struct):
    """What was applied of one writer and shard: everything up to `below`, and these beyond it."""

    below: int = 0
    beyond: set[int] = set()

    def take(self, seq: int) -> bool:
        if seq <= self.below or seq in self.beyond:
            return False
        self.beyond.add(seq)
        while self.below + 1 in self.beyond:
            self.below += 1
            self.beyond.remove(self.below)
        return True


class _Kept(msgspec.Struct):
    digests: list[tuple[Name, bytes]]
    accounts: list[tuple[Name, list[tuple[Obliged, int]], list[tuple[Obliged, Standing]], _Account]]
    marks: list[tuple[int, int, _Mark]]


@final
class Ledger:
    """Processes, folded from receipts in any order, each applied once."""

    def __init__(self) -> None:
        """Nothing applied yet."""
        self.digests: dict[Name, int] = {}
        self._accounts: dict[Name, _Account] = {}
        self._marks: dict[tuple[int, int], _Mark] = {}

    def apply(
        self,
        epoch: int,
        shard: int,
        seq: int,
        receipt: Receipt | WireReceipt,
        opens: Iterable[tuple[Name, Name]] = (),
    ) -> bool:
        """Apply one receipt; answers False for one that was applied before.

        `epoch` is that of its writer, `seq` its place there, dense from 1 for each shard. `opens` are the obligations
        that its outputs open, as (event, handler). A receipt without a handler opens what an event from outside owes,
        and is that of the root if the event has the name of the process; a ready one with a handler opens what that
        handler, which came later, owes.
        """
        if not self._marks.setdefault((epoch, shard), _Mark()).take(seq):
            return False
        process = receipt.process
        self.digests[process] = self.digests.get(process, 0) ^ int.from_bytes(receipt.delta, "big")
        account = self._accounts.setdefault(process, _Account())
        account.receipts += 1
        account.hlc = max(account.hlc, receipt.hlc)
        for event, handler in opens:
            account.add(Obliged(event, handler), 1)
        if not receipt.handler or receipt.status == Status.READY:
            account.opened += 1
            account.rooted = account.rooted or (not receipt.handler and receipt.event == process)
        else:
            _settle(account, seq, receipt)
        return True

    # What it says.

    def is_quiescent(self, process: Name) -> bool:
        """Whether everything that was opened in this process was settled, going by the digest."""
        return self.digests.get(process, 0) == 0

    def is_complete(self, process: Name) -> bool:
        """Whether the root of this process was heard of, and everything that was opened in it was settled."""
        account = self._accounts.get(process)
        return account is not None and account.rooted and not account.counts and not self.digests[process]

    def open(self, process: Name) -> list[Obliged]:
        """What is open in a process, or was settled before its opening was heard of."""
        account = self._accounts.get(process)
        return [] if account is None else list(account.counts)

    def row(self, process: Name) -> LedgerRow:
        """One process. Raises KeyError if no receipt named it."""
        account = self._accounts[process]
        counts = sorted(account.counts.items(), key=str)
        return LedgerRow(
            process,
            self.digests[process].to_bytes(16, "big"),
            tuple((obliged, account.standing.get(obliged)) for obliged, count in counts if count > 0),
            tuple(obliged for obliged, count in counts if count < 0),
            account.receipts,
            account.opened,
            account.written_off,
            account.mail,
            account.hlc,
            account.rooted,
        )

    def rows(self) -> list[LedgerRow]:
        """All processes, in order."""
        return [self.row(process) for process in sorted(self._accounts, key=str)]

    def violations(self) -> list[LedgerRow]:
        """The processes whose digest and set of open obligations do not say the same: none, unless there is a bug."""
        return [row for row in self.rows() if row.is_violated]

    # Checkpoints.

    def checkpoint(self) -> bytes:
        """All of it, up to which receipt of which writer included; `Ledger.from_checkpoint` goes on from there."""
        digests = [(name, digest.to_bytes(16, "big")) for name, digest in self.digests.items()]
        accounts = [
            (name, list(each.counts.items()), list(each.standing.items()), _bare(each))
            for name, each in self._accounts.items()
        ]
        marks = [(*place, mark) for place, mark in self._marks.items()]
        return msgspec.msgpack.encode(_Kept(digests, accounts, marks))

    @classmethod
    def from_checkpoint(cls, body: bytes) -> Ledger:
        """The ledger as it was. Raises DecodeFailed if `body` is no checkpoint."""
        try:
            kept = msgspec.msgpack.decode(body, type=_Kept)
        except (ValueError, RecursionError) as error:
            raise DecodeFailed(f"checkpoint of a ledger: {error}") from error
        ledger = cls()
        ledger.digests = {name: int.from_bytes(digest, "big") for name, digest in kept.digests}
        for name, counts, standing, account in kept.accounts:
            account.counts, account.standing = dict(counts), dict(standing)
            ledger._accounts[name] = account
        ledger._marks = {(epoch, shard): mark for epoch, shard, mark in kept.marks}
        return ledger


def _bare(account: _Account) -> _Account:
    return msgspec.structs.replace(account, counts={}, standing={})


def _settle(account: _Account, seq: int, receipt: Receipt | WireReceipt) -> None:
    """What a receipt says about its own obligation. One that does not gate has no part in the digest, nor in the set.

    A commit that emits before its execution ends closes this segment and opens the next one.
    """
    status = Status(receipt.status)
    if status in _OF_MAIL:
        consumed, unmatched, late = account.mail
        is_each = [status is each for each in _OF_MAIL]
        account.mail = (consumed + is_each[0], unmatched + is_each[1], late + is_each[2])
        account.add(Obliged(receipt.event, f"{receipt.handler}/wait"), -1)
        return
    account.written_off += status in _WRITTEN_OFF
    obliged = Obliged(receipt.event, receipt.handler, receipt.segment)
    if any(receipt.delta):
        account.add(obliged, -1)
    if not status.is_open:
        return
    if any(receipt.delta):
        obliged = obliged._replace(segment=receipt.segment + 1)
        account.add(obliged, 1)
    account.tell(obliged, seq, receipt)
