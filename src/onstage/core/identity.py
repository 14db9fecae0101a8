"""Public ids of events: (store, incarnation, n).

Each start of a writer draws a fresh random incarnation and records it first, with the number its first event will
get. A restored backup or a forgotten suffix may give a number out again, but never under the same incarnation.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, final

__all__ = ["Identity", "number_in"]

_DIGITS_MAX: Final = 18


def number_in(wire: str) -> int | None:
    """The number at the end of a text that may be a public id of some store, or None if none is there.

    At most 18 digits: a number of an event or process always fits into 63 bits, and so does what a store is asked.
    """
    tail = wire.rpartition("-")[2]
    if not (tail.isascii() and tail.isdigit() and len(tail) <= _DIGITS_MAX):
        return None
    return int(tail)


@final
class Identity:
    """Translates between event numbers of one store and public ids, `store-incarnation-n`."""

    __slots__ = ("_firsts", "_prefixes", "_present")

    def __init__(self, store: str, incarnations: tuple[tuple[int, str], ...]) -> None:
        """Take over the store's incarnations as (first n, name), in order."""
        assert incarnations, "a store that was opened has at least one incarnation"
        self._firsts = [first for first, _ in incarnations]
        self._prefixes = [f"{store}-{name}-" for _, name in incarnations]
        self._present = (self._firsts[-1], self._prefixes[-1])

    def wire(self, n: int) -> str:
        """The public id of event number `n`."""
        first, prefix = self._present
        if n < first:
            prefix = self._prefixes[max(bisect_right(self._firsts, n) - 1, 0)]
        return f"{prefix}{n}"

    def local(self, wire: str) -> int | None:
        """The number behind a public id of this store, or None for any other text."""
        n = number_in(wire)
        return n if n is not None and self.wire(n) == wire else None
