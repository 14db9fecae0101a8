"""Orders on one node: what tours are compared with."""

from pathlib import Path

from onstage.testing.tour.alone import played_alone
from onstage.testing.tour.repertory import Booked


def test_orders_that_wait_for_nobody_go_well_and_others_are_cancelled(tmp_path: Path) -> None:
    outcomes = played_alone(0, [Booked("a", 0), Booked("a", 2), Booked("b", 1)], tmp_path / "alone.db")
    assert list(outcomes.values()) == ["tour.shipped", "tour.shipped", "tour.cancelled"]
    assert next(iter(outcomes)) == b'{"key":"a","n":0}'
