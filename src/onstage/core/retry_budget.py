"""Retry budgets: what keeps the retries of an outage from becoming a storm. Pure functions of the time given to them.

Each first attempt pays a share of a retry in, and each retry takes a whole one out ("retry budgets", Finagle's
`RetryBudget`; "per-client retry budget", Site Reliability Engineering, chapter 21). A retry that the budget does not
cover is not given up: it waits until it is covered, in its row like any other.
"""

from __future__ import annotations

from typing import Final, final

from onstage.core.token_bucket import TokenBucket
from onstage.events.rate import Rate

__all__ = ["BALANCE_MAX", "RETRIES_PER_S", "RetryBudget"]

BALANCE_MAX: Final = 100.0
"""How many retries a budget saves up at most."""

RETRIES_PER_S: Final = 10
"""So many retries a second are covered whatever the balance, so that a quiet handler gets over a failure too."""


@final
class RetryBudget:
    """At most `ratio` retries for each first attempt, plus `RETRIES_PER_S`. Times are seconds of a monotonic clock."""

    __slots__ = ("_balance", "_floor", "_ratio")

    def __init__(self, ratio: float, now_s: float) -> None:
        """Begin without a balance. `ratio` is a number from 0."""
        self._ratio = ratio
        self._balance = 0.0
        self._floor = TokenBucket(Rate(RETRIES_PER_S, 1.0), now_s)

    def begun(self) -> None:
        """A first attempt: it pays its share in."""
        self._balance = min(self._balance + self._ratio, BALANCE_MAX)

    def wait_s(self, now_s: float) -> float:
        """How long until a retry is covered, if nothing begins meanwhile: 0 if one is."""
        return 0.0 if self._balance >= 1 else self._floor.wait_s(now_s)

    def take(self, now_s: float) -> None:
        """A retry begins: it takes its cover out."""
        if self._balance >= 1:
            self._balance -= 1
        else:
            self._floor.take(now_s)
