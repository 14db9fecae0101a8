"""Retry budgets: retries in proportion to first attempts, and a floor for the quiet."""

from hypothesis import given
from hypothesis import strategies as st

from onstage.core.retry_budget import BALANCE_MAX, RETRIES_PER_S, RetryBudget


@given(
    ratio=st.floats(0, 1),
    happened=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 50), st.integers(0, 50)), max_size=40),
)
def test_retries_are_at_most_the_ratio_and_the_floor(ratio: float, happened: list[tuple[float, int, int]]) -> None:
    budget, now, begun, retried = RetryBudget(ratio, 0.0), 0.0, 0, 0
    for gap, first_attempts, wanted in happened:
        now += gap
        for _ in range(first_attempts):
            budget.begun()
            begun += 1
        for _ in range(wanted):
            if budget.wait_s(now) == 0:
                budget.take(now)
                retried += 1
        assert retried <= ratio * begun + RETRIES_PER_S * now + RETRIES_PER_S + 1


def test_a_balance_is_saved_up_only_so_far() -> None:
    budget = RetryBudget(1.0, 0.0)
    for _ in range(10_000):
        budget.begun()
    covered = 0
    while budget.wait_s(0.0) == 0:
        budget.take(0.0)
        covered += 1
    assert covered == BALANCE_MAX + 1  # and one of the floor


def test_a_quiet_handler_may_retry_too() -> None:
    budget = RetryBudget(0.0, 0.0)
    assert budget.wait_s(0.0) == 0
    budget.take(0.0)
    assert 0 < budget.wait_s(0.0) <= 1 / RETRIES_PER_S
    assert budget.wait_s(1.0) == 0
