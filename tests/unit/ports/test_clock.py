"""The machine's clock and randomness."""

from onstage.ports.clock import SystemClock


def test_time_is_milliseconds_since_the_epoch() -> None:
    before = SystemClock().now_ms()
    assert 1_600_000_000_000 < before <= SystemClock().now_ms() + 1_000


def test_chance_is_at_least_zero_and_below_one() -> None:
    draws = [SystemClock().chance() for _ in range(100)]
    assert all(0 <= draw < 1 for draw in draws)
    assert len(set(draws)) > 90


def test_a_token_has_its_size_and_is_drawn_anew() -> None:
    assert len(SystemClock().token(5)) == 5
    assert SystemClock().token(16) != SystemClock().token(16)
