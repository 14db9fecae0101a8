"""`onstage bench`."""

from typing import Any


def test_the_built_in_measurement_is_short_and_counts_hops(tiny: Any) -> None:
    found = tiny.json("bench", "--built-in", "--seconds", "0.1")
    assert found["chains"] >= 64
    assert found["hops_per_s"] > found["chains_per_s"] > 0
    assert found["lone_ms_p95"] >= found["lone_ms_median"] > 0
