"""The ledger as a fold: any order, each receipt once."""

from itertools import permutations

from onstage.events.receipt import Receipt, Status, token
from onstage.observe.ledger import Ledger


def receipt(process: int, *tokens: int, status: Status = Status.DONE) -> Receipt:
    delta = 0
    for each in tokens:
        delta ^= each
    return Receipt(process, 1, 1, 0, status, 0, delta.to_bytes(16, "big"))


FIRST, SECOND = token("p", "1", "a.b", 0), token("p", "2", "a.c", 0)
STORY = [receipt(1, FIRST), receipt(1, FIRST, SECOND), receipt(1, SECOND)]


def test_a_process_is_quiescent_when_all_that_was_opened_is_settled_in_whatever_order() -> None:
    for order in permutations(enumerate(STORY)):
        ledger = Ledger()
        for seq, each in order:
            assert ledger.apply(1, 0, seq, each)
        assert ledger.is_quiescent(1)


def test_a_missing_receipt_shows() -> None:
    for left_out in range(3):
        ledger = Ledger()
        for seq, each in enumerate(STORY):
            if seq != left_out:
                ledger.apply(1, 0, seq, each)
        assert not ledger.is_quiescent(1)


def test_a_receipt_counts_once() -> None:
    ledger = Ledger()
    assert ledger.apply(1, 0, 1, STORY[0])
    assert not ledger.apply(1, 0, 1, STORY[0])
    assert not ledger.is_quiescent(1)
    assert ledger.apply(2, 0, 1, STORY[0])  # another incarnation's
    assert ledger.is_quiescent(1)


def test_writers_number_their_receipts_for_each_shard() -> None:
    ledger = Ledger()
    applied = [ledger.apply(1, shard, seq, STORY[0]) for shard, seq in ((0, 1), (1, 1), (0, 2), (1, 1))]
    assert applied == [True, True, True, False]
    assert ledger.digests == {1: FIRST}


def test_processes_do_not_mix() -> None:
    ledger = Ledger()
    ledger.apply(1, 0, 1, receipt(1, FIRST))
    assert ledger.is_quiescent(2)
    assert not ledger.is_quiescent(1)
