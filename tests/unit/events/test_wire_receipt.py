"""Receipts with public ids, as they are published."""

import pytest

from onstage.events.codec import DecodeFailed
from onstage.events.wire_receipt import WireReceipt, decode_wire, encode_wire


def test_what_is_written_is_read() -> None:
    plain = WireReceipt("s-i-1", "s-i-2", "shop.review", 0, 6, 77, bytes(range(16)))
    full = WireReceipt(
        "s-i-1", "t-j-3", "", 2, 4, 78, bytes(16), (("t-j-4", "shop.paid"),), 5, 6, 3, "an error", 900, "a b"
    )
    assert decode_wire(encode_wire((plain, full))) == (plain, full)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\x01", encode_wire(("not a receipt",)), b"\xdc\xff\xff"])
def test_what_is_no_receipt_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeFailed):
        decode_wire(body)
