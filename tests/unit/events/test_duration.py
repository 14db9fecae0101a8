"""Durations: what people write, in seconds."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.events.duration import DURATION_S_MAX, seconds

WRITTEN = [
    ("200ms", 0.2),
    ("90s", 90.0),
    ("24h", 86_400.0),
    ("3d", 259_200.0),
    ("1w", 604_800.0),
    ("1h30m", 5_400.0),
    ("1.5h", 5_400.0),
    ("0s", 0.0),
    (timedelta(minutes=2), 120.0),
    (2.5, 2.5),
    (7, 7.0),
]
BAD = ["", "s", "90", "-1s", "1 h", "30m1h", "1h1h", "1y", "1e3s", "٣s", "9" * 70 + "s"]
BAD += [-1, float("nan"), float("inf"), True, None, timedelta(seconds=-1), "101w9999999d", 10**400, ["h"]]


def kind_of(value: object) -> str:
    return type(value).__name__  # the value itself may be too large for the name of a test


@pytest.mark.parametrize(("written", "expected"), WRITTEN)
def test_a_duration_is_read_as_seconds(written: str | timedelta | float, expected: float) -> None:
    assert seconds(written) == expected


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_duration_is_refused_in_three_lines(bad: object) -> None:
    with pytest.raises(ValueError, match="not a duration") as caught:
        seconds(bad)  # type: ignore[arg-type]
    what, why, mend = str(caught.value).splitlines()
    assert repr(bad)[:10] in what
    assert why.startswith("  why: ")
    assert '"1h30m"' in mend


@pytest.mark.parametrize("bad", [10**5_000, -(10**5_000), [10**5_000], "h" * 1_000_000], ids=kind_of)
def test_a_bad_duration_is_not_shown_in_full(bad: object) -> None:
    with pytest.raises(ValueError, match="not a duration") as caught:
        seconds(bad)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300
    assert len(str(caught.value).splitlines()) == 3


def test_the_longest_duration_is_a_hundred_years() -> None:
    assert seconds(DURATION_S_MAX) == DURATION_S_MAX
    with pytest.raises(ValueError, match="100 years"):
        seconds(DURATION_S_MAX + 1)


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_text_and_timedelta_agree(d: int, h: int, m: int, s: int, ms: int) -> None:
    delta = timedelta(days=d, hours=h, minutes=m, seconds=s, milliseconds=ms)
    assert seconds(f"{d}d{h}h{m}m{s}s{ms}ms") == pytest.approx(seconds(delta), abs=1e-9)
