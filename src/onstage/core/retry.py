"""When to try again: a pure function of policy, attempt, error and one random number."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, final

from onstage.errors import Reject, RetryAfter
from onstage.events.duration import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GIVE_UP", "HANDLER_RETRY", "NO_RETRY", "GiveUp", "Retry", "delay"]


@final
@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """A retry policy: exponential with full jitter.

    `attempts` counts all tries, the first included. The n-th delay is drawn evenly from 0 to
    `first * factor ** (n - 1)`, at most `most` ("full jitter", Brooker, "Exponential Backoff And Jitter",
    AWS Architecture Blog 2015). `on` and `give_up_on` are exception types: with `on`, only those are retried;
    those in `give_up_on` never are. Durations are "200ms", "1m", a timedelta, or seconds.

    Raises ValueError for a policy without attempts, with an unreadable duration, or with a factor that is negative or
    not a finite number.
    """

    attempts: int
    first_s: float
    factor: float
    most_s: float
    on: tuple[type[BaseException], ...]
    give_up_on: tuple[type[BaseException], ...]

    def __init__(
        self,
        attempts: int = 5,
        *,
        first: str | timedelta | float = "200ms",
        factor: float = 2.0,
        most: str | timedelta | float = "1m",
        on: Sequence[type[BaseException]] = (Exception,),
        give_up_on: Sequence[type[BaseException]] = (),
    ) -> None:
        """Check and freeze the policy."""
        if attempts < 1:
            msg = f"Retry(attempts={attempts}): a policy needs at least one attempt; use attempts=1 for none again."
            raise ValueError(msg)
        if not (0 <= factor <= sys.float_info.max):
            msg = "Retry(factor=...): a factor is a finite number, 0 or more; use 1 for delays that do not grow."
            raise ValueError(msg)
        object.__setattr__(self, "attempts", attempts)
        object.__setattr__(self, "first_s", seconds(first))
        object.__setattr__(self, "factor", float(factor))
        object.__setattr__(self, "most_s", seconds(most))
        object.__setattr__(self, "on", tuple(on))
        object.__setattr__(self, "give_up_on", tuple(give_up_on))

    def also(self, *, on: Sequence[type[BaseException]] | None, give_up_on: Sequence[type[BaseException]]) -> Retry:
        """The same policy with further kinds of errors to give up on, and others to retry if `on` is given."""
        return Retry(
            self.attempts,
            first=self.first_s,
            factor=self.factor,
            most=self.most_s,
            on=self.on if on is None else on,
            give_up_on=(*self.give_up_on, *give_up_on),
        )

    def retries(self, error: BaseException) -> bool:
        """Whether this kind of error is worth another attempt."""
        if isinstance(error, (Reject, *self.give_up_on)):
            return False
        return isinstance(error, self.on)


@final
@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt: the attempts are spent, or the error is of a kind that no attempt cures."""


GIVE_UP: Final = GiveUp()
HANDLER_RETRY: Final = Retry(5)
NO_RETRY: Final = Retry(1)


def delay(policy: Retry, attempt: int, error: BaseException, jitter: float) -> timedelta | GiveUp:
    """How long to wait after the failed `attempt` (1 is the first), or that it is over.

    `jitter` is a random number in [0, 1), given from outside so that this function decides nothing by chance.
    A `RetryAfter` sets the delay itself, without jitter, but does not add attempts; if its delay is no duration, the
    policy's own delay stands. Raises nothing: whoever asks has a failed attempt in hand that must not be lost.
    """
    if attempt >= policy.attempts or not policy.retries(error):
        return GIVE_UP
    if isinstance(error, RetryAfter):
        with suppress(ValueError):
            return timedelta(seconds=seconds(error.delay))
    return timedelta(seconds=_ceiling_s(policy, min(attempt - 1, 64)) * jitter)


def _ceiling_s(policy: Retry, exponent: int) -> float:
    try:
        return min(policy.first_s * policy.factor**exponent, policy.most_s)
    except OverflowError:  # larger than any float; but nothing times that is still nothing
        return policy.most_s if policy.first_s else 0.0
