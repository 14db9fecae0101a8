"""I4: what overtakes is seen."""

from onstage.testing.checks.lane_order import out_of_order


def test_each_lane_goes_forward_by_itself() -> None:
    assert list(out_of_order([("a", 1), ("b", 7), ("a", 1), ("a", 3), ("b", 8)])) == []
    assert list(out_of_order([("a", 2), ("b", 1), ("a", 1)])) == ["a took event 1 after 2"]
