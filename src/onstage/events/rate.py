"""Rates as users write them (``"100/s"``, ``"1000/m"``, ``"5/10s"``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, final

from onstage.events.duration import seconds

__all__ = ["RATE_COUNT_MAX", "Rate", "rate_of"]

RATE_COUNT_MAX: Final = 1_000_000
"""The largest count of a rate: what is faster is better left without one."""

_RATE: Final = re.compile(r"([0-9]{1,12})/((?:[0-9]+(?:\.[0-9]+)?)?)(ms|[wdhms])")


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    per_s: float

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.count}/{self.per_s:g}s".replace("/1s", "/s")

    @property
    def interval_s(self) -> float:
        """The time that one of them takes, in seconds."""
        return self.per_s / self.count


def rate_of(text: object) -> Rate:
    """Return the rate that ``text`` says: a count, a slash, and a unit (``w d h m s ms``) or a duration.

    Raises:
        ValueError: with three lines (what, why, what to do) if it is none, is 0, or is out of range.
    """
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise _bad(text, "it is not a count, a slash and a unit (w, d, h, m, s or ms)")
    count, per_s = int(found[1]), seconds((found[2] or "1") + found[3])
    if not 1 <= count <= RATE_COUNT_MAX:
        raise _bad(text, f"the count is a whole number from 1 to {RATE_COUNT_MAX}")
    if per_s <= 0:
        raise _bad(text, "nothing happens in no time")
    return Rate(count, per_s)


def _bad(text: object, why: str) -> ValueError:
    shown = repr(text)
    shown = shown if len(shown) <= 64 else f"{shown[:64]}..."
    return ValueError(f'not a rate: {shown}\n  why: {why}\n  to do: write it like "100/s", "1000/m" or "5/10s"')
