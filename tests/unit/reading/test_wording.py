"""What people read."""

import pytest

from onstage.reading.wording import age, clean, instant, moment


@pytest.mark.parametrize(("ms", "said"), [(350, "350ms"), (12_000, "12s"), (250_000, "4m 10s"), (-1000, "-1s")])
def test_a_span_is_said_in_two_units(ms: int, said: str) -> None:
    assert age(ms) == said


def test_an_instant_is_in_utc_and_may_be_missing() -> None:
    assert moment(0) == "1970-01-01 00:00:00"
    assert instant(None) is None
    assert str(instant(0)) == "1970-01-01 00:00:00+00:00"


def test_control_characters_are_shown_not_sent() -> None:
    assert clean("a\x1b[31m\nb") == "a\\x1b[31m\\x0ab"
