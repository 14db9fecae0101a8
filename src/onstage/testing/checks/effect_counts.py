"""I2: an effect that is written in the handler's own transaction is there once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator

__all__ = ["not_once"]

H = TypeVar("H", bound="Hashable")


def not_once(found: Iterable[H], owed: Collection[H]) -> Iterator[str]:
    """Effects that are there more than once, and effects of finished work that are not there."""
    counts = Counter(found)
    for effect, count in counts.items():
        if count > 1:
            yield f"{effect} happened {count} times"
    for effect in owed:
        if effect not in counts:
            yield f"{effect} is owed, and did not happen"
