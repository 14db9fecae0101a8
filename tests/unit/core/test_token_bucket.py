"""Token buckets: never faster than they say, never slower than they must be."""

from hypothesis import given
from hypothesis import strategies as st

from onstage.core.token_bucket import BURST_S, KeyedBuckets, TokenBucket
from onstage.events.rate import Rate

RATES = st.builds(Rate, st.integers(1, 5000), st.sampled_from([0.1, 1.0, 10.0, 60.0, 3600.0]))


@given(rate=RATES, gaps=st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_span_of_time_has_more_than_the_rate_and_one_burst(rate: Rate, gaps: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate, 0.0), 0.0, list[float]()
    for gap in gaps:
        now += gap
        for _ in range(20):
            if bucket.wait_s(now) == 0:
                bucket.take(now)
                taken.append(now)
    burst = max(1, int(rate.count / rate.per_s * BURST_S))
    for i, first in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= (taken[j] - first) / rate.interval_s + burst + 1e-3


@given(rate=RATES, start=st.floats(0, 1e9))
def test_whoever_waits_as_long_as_told_gets_a_token(rate: Rate, start: float) -> None:
    bucket, now = TokenBucket(rate, start), start
    for _ in range(50):
        now += bucket.wait_s(now)
        assert bucket.wait_s(now) <= rate.interval_s * 1e-3 + 1e-6
        bucket.take(now)
    assert now - start <= 50 * rate.interval_s + 1e-3


def test_a_new_bucket_has_one_token_and_fills_up_to_one_second() -> None:
    bucket = TokenBucket(Rate(10, 1.0), 5.0)
    assert bucket.wait_s(5.0) == 0
    bucket.take(5.0)
    assert round(bucket.wait_s(5.0), 9) == 0.1
    for _ in range(10):
        assert bucket.wait_s(100.0) == 0
        bucket.take(100.0)
    assert bucket.wait_s(100.0) > 0.09


def test_keys_do_not_share_tokens_and_are_forgotten_when_full_again() -> None:
    buckets, now = KeyedBuckets(Rate(1, 1.0)), 0.0
    for n in range(5_000):
        now = n / 10
        assert buckets.wait_s(str(n), now) == 0
        buckets.take(str(n), now)
        assert round(buckets.wait_s(str(n), now), 9) == 1.0
    assert len(buckets) <= 1_100


def test_what_an_earlier_process_has_taken_is_missing() -> None:
    bucket, buckets = TokenBucket(Rate(1, 60.0), 5.0), KeyedBuckets(Rate(1, 60.0))
    bucket.restore(40.0)
    buckets.restore("a", 40.0)
    assert (bucket.wait_s(5.0), bucket.wait_s(40.0)) == (35.0, 0)
    assert (buckets.wait_s("a", 5.0), buckets.wait_s("a", 40.0), buckets.wait_s("b", 5.0)) == (35.0, 0, 0)
    bucket.restore(1.0)
    assert bucket.wait_s(5.0) == 35.0, "nothing is given earlier than it would be"
