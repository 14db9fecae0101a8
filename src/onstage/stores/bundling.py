"""Receipts in bundles: what one batch wrote for one shard is stored, and published, in as few pieces as fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.events.receipt import Receipt, encode_receipts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["BUNDLE_BYTES_MAX", "bundled"]

BUNDLE_BYTES_MAX: Final = 128 << 10
"""How large a bundle of receipts is, unless it is a single one: a broker takes it as one message, with longer names."""


def bundled(receipts: Sequence[Receipt]) -> Iterable[tuple[Sequence[Receipt], bytes]]:
    """The receipts in as few pieces as the limit of a bundle allows, in their order, each with its body."""
    body = encode_receipts(receipts)
    if len(body) <= BUNDLE_BYTES_MAX or len(receipts) == 1:
        return ((receipts, body),)
    middle = len(receipts) // 2
    return (*bundled(receipts[:middle]), *bundled(receipts[middle:]))
