"""Rates as users write them."""

import pytest

from onstage.events.rate import RATE_COUNT_MAX, Rate, rate_of


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(100, 1.0)),
        ("1000/m", Rate(1000, 60.0)),
        ("5/10s", Rate(5, 10.0)),
        ("1/1.5h", Rate(1, 5400.0)),
        ("3/d", Rate(3, 86400.0)),
        ("2/100ms", Rate(2, 0.1)),
        (f"{RATE_COUNT_MAX}/s", Rate(RATE_COUNT_MAX, 1.0)),
    ],
)
def test_a_rate_is_a_count_in_a_time(text: str, rate: Rate) -> None:
    assert rate_of(text) == rate
    assert rate_of(text).interval_s == rate.per_s / rate.count


@pytest.mark.parametrize(
    "text",
    ["", "100", "100/", "/s", "100/fortnight", "-1/s", "0/s", "1.5/s", "5/0s", f"{RATE_COUNT_MAX + 1}/s", 100, None],
)
def test_anything_else_is_refused_in_three_lines(text: object) -> None:
    with pytest.raises(ValueError, match="not a rate") as caught:
        rate_of(text)
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()] == ["not a rate", "why", "to do"]


def test_a_long_text_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match=r"\.\.\.") as caught:
        rate_of("9" * 10_000)
    assert len(str(caught.value)) < 300
