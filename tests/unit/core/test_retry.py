"""When to try again."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.core.retry import GIVE_UP, HANDLER_RETRY, NO_RETRY, GiveUp, Retry, delay
from onstage.errors import Reject, RetryAfter


def kind_of(value: object) -> str:
    return type(value).__name__  # the value itself may be too large for the name of a test


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_a_delay_lies_below_its_growing_ceiling(attempt: int, jitter: float) -> None:
    policy = Retry(1_000, first="100ms", factor=2, most="10s")
    answer = delay(policy, attempt, ValueError(), jitter)
    assert isinstance(answer, timedelta)
    assert timedelta() <= answer <= timedelta(seconds=min(0.1 * 2 ** (attempt - 1), 10))


def test_jitter_spreads_over_the_whole_range() -> None:
    policy = Retry(9, first="1s", factor=3, most="1m")
    assert delay(policy, 3, ValueError(), 0.0) == timedelta()
    assert delay(policy, 3, ValueError(), 0.5) == timedelta(seconds=4.5)


@pytest.mark.parametrize(("policy", "attempt"), [(Retry(3), 3), (Retry(3), 4), (NO_RETRY, 1)])
def test_spent_attempts_are_the_end(policy: Retry, attempt: int) -> None:
    assert delay(policy, attempt, ValueError(), 0.5) is GIVE_UP


def test_only_the_named_errors_are_retried() -> None:
    policy = Retry(on=[OSError], give_up_on=[FileNotFoundError])
    assert delay(policy, 1, ConnectionError(), 0.5) is not GIVE_UP
    assert delay(policy, 1, ValueError(), 0.5) is GIVE_UP
    assert delay(policy, 1, FileNotFoundError(), 0.5) is GIVE_UP


def test_a_rejection_is_never_retried() -> None:
    assert delay(Retry(), 1, Reject("no"), 0.5) is GIVE_UP
    assert Retry(on=[Reject]).retries(Reject("no")) is False


def test_retry_after_sets_the_delay_and_adds_no_attempt() -> None:
    assert delay(Retry(3), 1, RetryAfter("30s"), 0.1) == timedelta(seconds=30)
    assert delay(Retry(3), 3, RetryAfter("30s"), 0.1) is GIVE_UP


@pytest.mark.parametrize("factor", [1e10, 1e308, 10**300])
def test_a_huge_factor_ends_at_the_longest_delay(factor: float) -> None:
    policy = Retry(1_000, first="1s", factor=factor, most="1m")
    assert delay(policy, 1, ValueError(), 0.5) == timedelta(seconds=0.5)
    assert [delay(policy, attempt, ValueError(), 0.5) for attempt in (64, 999)] == [timedelta(seconds=30)] * 2
    assert delay(Retry(1_000, first=0, factor=factor), 999, ValueError(), 0.5) == timedelta()


@pytest.mark.parametrize("factor", [-1, float("nan"), float("inf"), 10**400], ids=kind_of)
def test_a_factor_is_a_finite_number_and_not_negative(factor: float) -> None:
    with pytest.raises(ValueError, match="a factor is a finite number"):
        Retry(factor=factor)


@pytest.mark.parametrize("odd", ["soon", -1, float("nan"), 10**5_000, None], ids=kind_of)
def test_an_unreadable_retry_after_leaves_the_delay_to_the_policy(odd: Any) -> None:
    assert delay(Retry(3, first="2s"), 1, RetryAfter(odd), 0.5) == timedelta(seconds=1)
    assert delay(Retry(3), 3, RetryAfter(odd), 0.5) is GIVE_UP


def test_a_policy_has_at_least_one_attempt() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        Retry(0)


def test_a_policy_can_be_narrowed() -> None:
    policy = Retry(7, first="1s").also(on=[OSError], give_up_on=[KeyError])
    assert (policy.attempts, policy.first_s, policy.on, policy.give_up_on) == (7, 1.0, (OSError,), (KeyError,))
    assert Retry(2).also(on=None, give_up_on=[]) == Retry(2)


def test_a_policy_that_is_narrowed_keeps_everything_else() -> None:
    policy = Retry(7, first="1s", factor=3, most="9s", on=[OSError], give_up_on=[KeyError])
    narrowed = policy.also(on=None, give_up_on=[IndexError])
    assert narrowed == Retry(7, first="1s", factor=3, most="9s", on=[OSError], give_up_on=[KeyError, IndexError])


def test_a_policy_without_options_is_five_attempts_that_double_from_200_ms_to_a_minute() -> None:
    assert Retry() == Retry(5, first=0.2, factor=2.0, most=60.0, on=[Exception], give_up_on=[])
    assert Retry(5) == HANDLER_RETRY
    assert Retry(1) == NO_RETRY


def test_a_policy_is_a_value() -> None:
    assert len({Retry(2), Retry(2), Retry(3)}) == 2
    assert len({GIVE_UP, GiveUp()}) == 1
    with pytest.raises(AttributeError):
        Retry().attempts = 9  # type: ignore[misc]  # that is the test


def test_the_last_attempt_that_is_retried_is_the_one_before_the_last() -> None:
    assert delay(Retry(3), 2, ValueError(), 0.5) == timedelta(seconds=0.2)


def test_a_cancellation_is_no_error_to_retry() -> None:
    assert delay(Retry(), 1, KeyboardInterrupt(), 0.5) is GIVE_UP


def test_a_ceiling_does_not_overflow_after_many_attempts() -> None:
    policy = Retry(10_000, first="1ms", factor=1.5, most=1e9)
    assert delay(policy, 65, ValueError(), 0.5) == timedelta(seconds=0.001 * 1.5**64 / 2)
    assert delay(policy, 66, ValueError(), 0.5) == delay(policy, 65, ValueError(), 0.5)
    assert delay(policy, 9_000, ValueError(), 0.5) == delay(policy, 65, ValueError(), 0.5)
