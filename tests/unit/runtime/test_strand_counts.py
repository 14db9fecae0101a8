"""The counts of a publisher: dense on each subject, kept, and taken back when it goes back."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Clock

from onstage.core.commit import Commit, Notes
from onstage.ports.store import Declaration
from onstage.runtime import strand_counts
from onstage.runtime.strand_counts import Counted, Counting, StrandCounts
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers

SUBJECT = "evt.onstage.1.shop.paid"
OTHER = "ctl.onstage.bank"


async def kept(store: MemoryStore, epoch: int, counting: Counting) -> None:
    position = store.append(Commit(epoch=epoch, notes=Notes(counting.notes)))
    store.flush()
    await store.durable(position)


def test_counts_are_dense_kept_and_known_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strand_counts, "AT_ONCE", 1)

    async def story() -> None:
        store = MemoryStore(clock=Clock(), workers=InlineWorkers())
        epoch = (await store.open(Declaration((), (), {}, b""))).epoch
        counts = StrandCounts()
        counting = counts.begin()
        assert [counting.next(SUBJECT, 7), counting.next(SUBJECT, 9), counting.next(OTHER, 3)] == [1, 2, 1]
        assert counts.of(SUBJECT) == Counted(SUBJECT), "nothing holds before the store has it"
        await kept(store, epoch, counting)
        counts.settle(counting)
        for known in (counts, StrandCounts()):
            await known.load(store.reader)
            assert {each.subject: each for each in known.all} == {
                SUBJECT: Counted(SUBJECT, 2, 9),
                OTHER: Counted(OTHER, 1, 3),
            }
            assert known.begin().next(SUBJECT, 11) == 3

    asyncio.run(story())


def test_whoever_goes_back_does_not_know_which_was_the_last() -> None:
    counts = StrandCounts()
    counting = counts.begin()
    for last in (4, 5, 6):
        counting.next(SUBJECT, last)
    counts.settle(counting)
    counts.settle(counts.less({SUBJECT: 2}))
    assert counts.of(SUBJECT) == Counted(SUBJECT, 1, 0)
    assert counts.begin().next(SUBJECT, 5) == 2
