"""Bundles of receipts: dense, in order, and none larger than it need be."""

from onstage.events.receipt import Receipt, decode_receipts
from onstage.stores.bundling import BUNDLE_BYTES_MAX, bundled


def receipts(count: int, size: int) -> list[Receipt]:
    return [Receipt(1, n, 1, 0, 6, n, bytes(16), error="x" * size) for n in range(count)]


def test_what_fits_is_one_bundle() -> None:
    given = receipts(5, 10)
    ((part, body),) = bundled(given)
    assert list(part) == given
    assert decode_receipts(body) == tuple(given)


def test_what_does_not_fit_is_divided_in_its_order() -> None:
    given = receipts(9, BUNDLE_BYTES_MAX // 4)
    parts = list(bundled(given))
    assert len(parts) > 2
    assert all(len(body) <= BUNDLE_BYTES_MAX for _, body in parts)
    assert [each for part, _ in parts for each in part] == given


def test_a_single_one_may_be_larger() -> None:
    ((part, body),) = bundled(receipts(1, BUNDLE_BYTES_MAX + 1))
    assert len(part) == 1
    assert len(body) > BUNDLE_BYTES_MAX
