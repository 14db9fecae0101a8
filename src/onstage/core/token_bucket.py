"""Rate limits: pure functions of the time that is given to them.

Theory of operation. A bucket keeps one number, the time at which the next token would be due if tokens came one by one
(the generic cell rate algorithm, ITU-T I.371). It lets through ahead of that time what a second's worth of tokens
allows. So it costs O(1), keeps no history and does not drift, however long it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from onstage.events.rate import Rate

__all__ = ["BURST_S", "KeyedBuckets", "TokenBucket"]

BURST_S: Final = 1.0
"""What was not used is kept for this long: a bucket holds one second's worth of tokens, and at least one."""

_EARLY_S: Final = 1e-6
_SWEEP_AT_MIN: Final = 1_000


def _tolerance_s(rate: Rate) -> float:
    burst = max(1, int(rate.count / rate.per_s * BURST_S))
    return (burst - 1) * rate.interval_s


@final
class TokenBucket:
    """At most `rate` over any time, plus one burst of `BURST_S`. Times are seconds of one monotonic clock.

    A new one holds a single token: whoever starts often gets one each time and never a burst.
    """

    __slots__ = ("_due_s", "_interval_s", "_tolerance_s")

    def __init__(self, rate: Rate, now_s: float) -> None:
        """Begin with one token."""
        self._interval_s = rate.interval_s
        self._tolerance_s = _tolerance_s(rate)
        self._due_s = now_s + self._tolerance_s

    def wait_s(self, now_s: float) -> float:
        """How long until there is a token: 0 if there is one."""
        wait = self._due_s - self._tolerance_s - now_s
        return wait if wait > _EARLY_S else 0.0

    def take(self, now_s: float) -> None:
        """Take a token. Taken without waiting for it, it is missing later."""
        self._due_s = max(self._due_s, now_s) + self._interval_s

    def restore(self, due_s: float) -> None:
        """Give the next token not before `due_s`: an earlier process has taken the one before."""
        self._due_s = max(self._due_s, due_s + self._tolerance_s)


@final
class KeyedBuckets:
    """A bucket for each key, kept only while it is not full again: memory is bounded by the keys of one burst."""

    __slots__ = ("_due_s", "_interval_s", "_sweep_at", "_tolerance_s")

    def __init__(self, rate: Rate) -> None:
        """Every key has a full bucket."""
        self._interval_s = rate.interval_s
        self._tolerance_s = _tolerance_s(rate)
        self._due_s: dict[str, float] = {}
        self._sweep_at = _SWEEP_AT_MIN

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._due_s)

    def wait_s(self, key: str, now_s: float) -> float:
        """How long until there is a token for this key: 0 if there is one."""
        wait = self._due_s.get(key, now_s) - self._tolerance_s - now_s
        return wait if wait > _EARLY_S else 0.0

    def take(self, key: str, now_s: float) -> None:
        """Take a token of this key."""
        if len(self._due_s) >= self._sweep_at:
            self._due_s = {each: due for each, due in self._due_s.items() if due > now_s}
            self._sweep_at = max(_SWEEP_AT_MIN, 2 * len(self._due_s))
        self._due_s[key] = max(self._due_s.get(key, now_s), now_s) + self._interval_s

    def restore(self, key: str, due_s: float) -> None:
        """Give this key its next token not before `due_s`."""
        self._due_s[key] = max(self._due_s.get(key, 0.0), due_s + self._tolerance_s)
