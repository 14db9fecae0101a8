"""The same seed, the same clock and the same chance."""

from onstage.testing.virtual_clock import START_MS, VirtualClock


def test_it_follows_the_loop_and_repeats_itself() -> None:
    now = [0.0]
    one, other, third = (VirtualClock(seed, lambda: now[0]) for seed in (1, 1, 2))
    assert one.now_ms() == START_MS
    now[0] = 1.234
    assert one.now_ms() == START_MS + 1234
    drawn = one.chance(), one.token(8)
    assert drawn == (other.chance(), other.token(8))
    assert drawn != (third.chance(), third.token(8))
    assert 0 <= drawn[0] < 1
    assert len(drawn[1]) == 8
