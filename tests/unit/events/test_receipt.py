"""Receipts and the tokens of obligations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.events.codec import DecodeFailed
from onstage.events.receipt import OPEN_MAX, Receipt, Status, decode_receipts, encode_receipts, token


def test_a_receipt_survives_being_stored() -> None:
    receipt = Receipt(1, 2, 3, 0, 6, 99, b"d" * 16, ((4, 5),), 10, 11, 2, "no", 12)
    assert decode_receipts(encode_receipts([receipt, receipt])) == (receipt, receipt)


def test_a_token_is_the_same_in_every_store_and_for_ever() -> None:
    assert token("p", "e", "h", 0) == token("p", "e", "h", 0) < 1 << 128
    assert f"{token('p', 'e', 'h', 0):032x}" == "695034bf507d7bc775909ac9c686142a"


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=2))
def test_different_obligations_have_different_tokens(obligations: set[tuple[int, int, int]]) -> None:
    assert len({token("p", str(e), str(h), s) for e, h, s in obligations}) == len(obligations)


def test_open_states_are_those_below_the_partial_indexes_cut() -> None:
    assert [status.is_open for status in Status] == [status <= OPEN_MAX for status in Status]
    assert int(Status.DONE) == OPEN_MAX + 1 == 6


def test_people_read_words() -> None:
    assert (Status.PARKED.label, Status.READY.label) == ("dead letter", "ready")


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\xc0", b"\x91\x90", encode_receipts([Receipt(1, 2, 3, 0, 6, 99, b"")])[:-1], b"\x91" * 9_999],
)
def test_what_holds_no_receipts_is_refused_with_one_error(body: bytes) -> None:
    with pytest.raises(DecodeFailed, match="receipts: "):
        decode_receipts(body)
