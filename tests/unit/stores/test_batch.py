"""One batch, worked out on rows in dictionaries."""

from collections.abc import Collection
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.core.commit import Commit, RefusedBecause, Transaction, WaveRow
from onstage.core.journal import Begun, Entry, Transacted, Valued
from onstage.events.receipt import Status
from onstage.ports.store import Opened
from onstage.stores.batch import Batch, Spoilt
from onstage.stores.process_row import SHARDS, ProcessRow
from onstage.testing.commit_script import CommitScript

TYPES = {("shop.placed", 1): 1, ("shop.paid", 1): 2, ("shop.lost", 1): 3}
HANDLERS = {"shop.bill": 1, "shop.pack": 2, "shop.mail": 3}
OPENED = Opened("s", ((1, "i"),), 1, 0, 1, 1, TYPES, HANDLERS, {})
BILL, PACK = "shop.bill", "shop.pack"


class Peeked:
    """What a batch asks of stored rows."""

    epoch = 1
    partial = False
    undoing: ClassVar[dict[str, frozenset[int]]] = {"order": frozenset({3})}

    def __init__(self, rows: "Rows") -> None:
        self.rows = rows
        self.outcomes = rows.outcomes

    def executions(self, ids: Collection[int]) -> list[tuple[Any, ...]]:
        return [self.rows.executions[x] for x in ids if x in self.rows.executions]

    def processes(self, ids: Collection[int]) -> list[tuple[Any, ...]]:
        return [self.rows.processes[n] for n in ids if n in self.rows.processes]

    def doors(self, identities: Collection[bytes]) -> list[tuple[bytes, int, bytes]]:
        return [(i, *self.rows.doors[i]) for i in identities if i in self.rows.doors]

    def waves(self, processes: Collection[int]) -> list[tuple[int, int]]:
        return [(n, self.rows.waves[n].version) for n in processes if n in self.rows.waves]

    def transact(self, transaction: Transaction) -> Entry:
        return transaction.run(None)


class Rows:
    """Stored rows."""

    def __init__(self) -> None:
        self.outcomes = {"order": {2: "shop.paid", 3: "shop.lost"}}
        self.felled: set[int] = set()
        self.seqs = [0] * SHARDS
        self.executions: dict[int, tuple[Any, ...]] = {}
        self.processes: dict[int, tuple[Any, ...]] = {}
        self.doors: dict[bytes, tuple[int, bytes]] = {}
        self.waves: dict[int, WaveRow] = {}
        self.logs: list[Any] = []
        self.refused: list[tuple[int, str]] = []

    def write(self, commits: list[Commit]) -> Batch:
        batch = Batch(Peeked(self), self.felled, self.seqs)
        batch.add(commits)
        self.executions |= {row[0]: row for row in (*batch.opened_rows(), *batch.changed.values())}
        self.processes |= {row[0]: row for row in batch.close_ledger()}
        self.doors |= {door.identity: (door.n, door.payload) for door in batch.doors.values()}
        self.waves |= batch.waves
        self.logs += [("event", e.n) for e in batch.events]
        self.refused += [(refusal.commit.position, refusal.because) for refusal in batch.refused]
        self.felled |= batch.felled
        self.seqs = batch.seqs
        return batch


def numbered(*commits: Commit) -> list[Commit]:
    for position, commit in enumerate(commits, 1):
        commit.position = position
    return list(commits)


@st.composite
def stories(draw: st.DrawFn) -> list[Commit]:
    """Commits of a few processes: most are right, some conflict, some descend from what is refused."""
    script, commits = CommitScript(OPENED), list[Commit]()
    for _ in range(draw(st.integers(1, 25))):
        roots = [commit for commit in commits if commit.opened]
        if not roots or draw(st.integers(0, 3)) == 0:
            door = script.door(draw(st.sampled_from([b"a", b"b"]))) if draw(st.booleans()) else None
            commits.append(script.root(BILL, PACK, declared="order", door=door))
            continue
        parent = draw(st.sampled_from(roots))
        handlers = [
            name for name, number in HANDLERS.items() if any(o.execution & 65535 == number for o in parent.opened)
        ]
        emits = draw(st.sampled_from([(), (("shop.paid", (BILL,)),), (("shop.lost", ()),)]))
        status = draw(st.sampled_from([Status.WAITING, Status.DONE, Status.REJECTED]))
        options = {"expected": draw(st.integers(0, 1)), "ended": draw(st.integers(1, 9)), "status": int(status)}
        entries = draw(st.sampled_from([(), (Valued("x#0", b"1"),), (Begun("y#0", 1, "y", b""),)]))
        step = script.step(parent, draw(st.sampled_from(handlers)), *emits, entries=entries, **options)
        step.after = (commits.index(parent) + 1,) if draw(st.booleans()) else ()
        commits.append(step)
    return numbered(*commits)


@given(stories(), st.data())
def test_how_commits_fall_into_batches_changes_nothing(commits: list[Commit], data: st.DataObject) -> None:
    whole, parts = Rows(), Rows()
    whole.write(commits)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(commits)))) | {0, len(commits)})
    for start, end in pairwise(cuts):
        parts.write(commits[start:end])
    assert vars(parts) == vars(whole)


@given(stories())
def test_the_digest_is_zero_exactly_when_nothing_is_open(commits: list[Commit]) -> None:
    rows = Rows()
    rows.write(commits)
    for row in rows.processes.values():
        process = ProcessRow(row)
        still_open = [x for x in rows.executions.values() if x[1] == process.id and x[2] <= Status.DIVERGED]
        assert process.open == len(still_open)
        assert (process.digest == 0) == (process.open == 0)
        assert (process.ended is None) == (process.open > 0)


def test_a_batch_of_refused_commits_is_empty() -> None:
    script = CommitScript(OPENED)
    stale = script.root(BILL)
    stale.epoch = 0
    batch = Rows().write(numbered(stale, script.go_on(99 << 16 | 1, 99)))
    assert batch.is_empty
    assert [refusal.because for refusal in batch.refused] == [RefusedBecause.STALE_EPOCH, RefusedBecause.CONFLICT]


def test_a_refused_commit_does_not_rewrite_the_row_it_conflicts_with() -> None:
    script, rows = CommitScript(OPENED), Rows()
    root = script.root(BILL)
    rows.write(numbered(root))
    assert rows.write(numbered(script.step(root, BILL, expected=3))).is_empty


def test_a_spoilt_batch_is_no_refusal() -> None:
    def run(_: Any) -> Entry:
        raise Spoilt

    script, rows = CommitScript(OPENED), Rows()
    root = script.root(BILL)
    with pytest.raises(Spoilt):
        rows.write(numbered(root, script.step(root, BILL, transaction=Transaction(run))))


def test_the_entry_of_a_transaction_is_the_last_of_its_commit() -> None:
    script, rows = CommitScript(OPENED), Rows()
    root = script.root(BILL)
    answer = Transacted("tx#0", 0, b"", 0)
    step = script.step(root, BILL, entries=(Valued("x#0", b""),), transaction=Transaction(lambda _: answer))
    batch = rows.write(numbered(root, step))
    assert [(execution, place) for execution, place, _ in batch.entries] == [(step.execution, 0), (step.execution, 1)]
    assert batch.outcome().results == {2: answer}


def test_the_clock_of_a_batch_covers_events_and_receipts() -> None:
    script, rows = CommitScript(OPENED), Rows()
    root = script.root(BILL)
    assert rows.write(numbered(root)).hlc == root.receipts[0].hlc == script.hlc
