"""The ledger as a fold: any order, each receipt once."""

from itertools import permutations
from typing import Any

import pytest

from onstage.events.codec import DecodeFailed
from onstage.events.receipt import Receipt, Status, token
from onstage.events.wire_receipt import WireReceipt
from onstage.observe.ledger import Ledger, Obliged


def receipt(process: int, *tokens: int, status: Status = Status.DONE) -> Receipt:
    delta = 0
    for each in tokens:
        delta ^= each
    return Receipt(process, 1, 1, 0, status, 0, delta.to_bytes(16, "big"))


FIRST, SECOND = token("p", "1", "a.b", 0), token("p", "2", "a.c", 0)
STORY = [receipt(1, FIRST), receipt(1, FIRST, SECOND), receipt(1, SECOND)]


def test_a_process_is_quiescent_when_all_that_was_opened_is_settled_in_whatever_order() -> None:
    for order in permutations(enumerate(STORY, 1)):
        ledger = Ledger()
        for seq, each in order:
            assert ledger.apply(1, 0, seq, each)
        assert ledger.is_quiescent(1)


def test_a_missing_receipt_shows() -> None:
    for left_out in range(1, 4):
        ledger = Ledger()
        for seq, each in enumerate(STORY, 1):
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


# The set of open obligations.


def said(event: str, handler: str, status: Status, delta: int, **more: Any) -> WireReceipt:
    return WireReceipt("p", event, handler, more.pop("segment", 0), status, 1, delta.to_bytes(16, "big"), **more)


ROOT = token("p", "p", "a.b", 0)
OPENED = said("p", "", Status.READY, ROOT)


def test_an_obligation_is_open_from_its_opening_to_its_settlement() -> None:
    ledger = Ledger()
    ledger.apply(1, 0, 1, OPENED, [("p", "a.b")])
    assert ledger.open("p") == [Obliged("p", "a.b")]
    assert not ledger.is_complete("p")
    ledger.apply(1, 0, 2, said("p", "a.b", Status.DONE, ROOT))
    assert ledger.is_complete("p")
    assert ledger.violations() == []


def test_a_segment_closes_one_and_opens_the_next() -> None:
    ledger, following = Ledger(), token("p", "p", "a.b", 1)
    ledger.apply(1, 0, 1, OPENED, [("p", "a.b")])
    ledger.apply(1, 0, 2, said("p", "a.b", Status.WAITING, ROOT ^ following, until=9, waits="x"))
    ((obliged, standing),) = ledger.row("p").open
    assert obliged == Obliged("p", "a.b", 1)
    assert standing is not None
    assert (standing.status, standing.until, standing.waits) == (Status.WAITING, 9, "x")
    ledger.apply(1, 0, 3, said("p", "a.b", Status.DONE, following, segment=1))
    assert ledger.is_complete("p")


def test_what_is_settled_before_it_was_opened_is_no_end() -> None:
    ledger = Ledger()
    ledger.apply(1, 0, 2, said("p", "a.b", Status.DONE, ROOT))
    assert ledger.row("p").early == (Obliged("p", "a.b"),)
    assert not ledger.is_complete("p")
    ledger.apply(1, 0, 1, OPENED, [("p", "a.b")])
    assert ledger.is_complete("p")


def test_a_process_without_its_root_has_not_ended() -> None:
    ledger = Ledger()
    later = token("p", "q", "a.b", 0)
    ledger.apply(1, 0, 1, said("q", "", Status.READY, later), [("q", "a.b")])
    ledger.apply(1, 0, 2, said("q", "a.b", Status.DONE, later))
    assert ledger.open("p") == []
    assert not ledger.is_complete("p")


def test_waits_settle_what_a_mailbox_owes() -> None:
    ledger, own = Ledger(), token("p", "p", "a.b/wait", 0)
    ledger.apply(1, 0, 1, said("p", "", Status.READY, own), [("p", "a.b/wait")])
    for seq, status in enumerate((Status.CONSUMED, Status.UNMATCHED, Status.LATE), 2):
        again = Ledger.from_checkpoint(ledger.checkpoint())
        again.apply(1, 0, seq, said("p", "a.b", status, own))
        assert again.is_complete("p")
        assert again.row("p").mail == (status == Status.CONSUMED, status == Status.UNMATCHED, status == Status.LATE)


def test_a_late_subscriber_opens_and_a_drop_writes_off() -> None:
    ledger, late = Ledger(), token("p", "p", "n.ew", 0)
    ledger.apply(1, 0, 1, OPENED, [("p", "a.b")])
    ledger.apply(1, 0, 2, said("p", "a.b", Status.DONE, ROOT))
    ledger.apply(1, 0, 3, said("p", "n.ew", Status.READY, late), [("p", "n.ew")])
    assert ledger.open("p") == [Obliged("p", "n.ew")]
    ledger.apply(1, 0, 4, said("p", "n.ew", Status.DROPPED, late))
    row = ledger.row("p")
    assert row.is_complete
    assert (row.opened, row.written_off, row.receipts) == (2, 1, 4)


@pytest.mark.parametrize(("delta", "opens"), [(0, [("p", "a.b")]), (ROOT, []), (ROOT, [("p", "a.b"), ("p", "a.c")])])
def test_books_that_do_not_balance_are_a_violation(delta: int, opens: list[tuple[str, str]]) -> None:
    ledger = Ledger()
    ledger.apply(1, 0, 1, said("p", "", Status.READY, delta), opens)
    ledger.apply(1, 0, 2, said("p", "a.b", Status.DONE, ROOT))
    assert [row.process for row in ledger.violations()] == ["p"]


def test_what_does_not_gate_has_no_part_in_it() -> None:
    ledger = Ledger()
    ledger.apply(1, 0, 1, OPENED, [("p", "a.b")])
    ledger.apply(1, 0, 2, said("p", "log.it", Status.DONE, 0))
    assert ledger.open("p") == [Obliged("p", "a.b")]


def test_a_ledger_from_a_checkpoint_goes_on_where_it_was() -> None:
    ledger = Ledger()
    ledger.apply(1, 0, 1, OPENED, [("p", "a.b")])
    ledger.apply(1, 0, 3, said("p", "a.b", Status.RETRYING, 0, error="why"))
    again = Ledger.from_checkpoint(ledger.checkpoint())
    assert again.rows() == ledger.rows()
    assert [again.apply(1, 0, seq, OPENED, [("p", "a.b")]) for seq in (1, 3)] == [False, False]
    assert again.apply(1, 0, 2, said("p", "a.b", Status.DONE, ROOT))
    assert again.is_complete("p")


def test_what_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(DecodeFailed, match="checkpoint of a ledger"):
        Ledger.from_checkpoint(b"\xc1")
