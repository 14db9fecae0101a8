"""The row that says whether a process is undone."""

import pytest

from onstage.core.undoing import (
    COMPENSATING,
    REJECTION,
    Undoing,
    decided,
    decode_undoing,
    encode_undoing,
    first_row,
)
from onstage.events.codec import DecodeFailed


def test_a_row_is_read_as_it_was_written() -> None:
    undoing = Undoing("no stock", 5, 7, 9, ("shop.pay: step charge",))
    assert decode_undoing(encode_undoing(undoing)) == undoing
    assert first_row(3, COMPENSATING, undoing).version == 1


def test_an_outcome_decides_and_is_exempt() -> None:
    row = decided(3, 8, "shop.lost", 77)
    assert (row.process, row.version, row.state) == (3, 1, COMPENSATING)
    assert decode_undoing(row.body) == Undoing("shop.lost", 77, exempt=8)


def test_after_a_rejection_nothing_is_exempt() -> None:
    row = decided(3, REJECTION, "shop.paid", 77)
    assert decode_undoing(row.body) == Undoing("a handler rejected", 77)


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(DecodeFailed, match="undoing of a process"):
        decode_undoing(b"\xff")
