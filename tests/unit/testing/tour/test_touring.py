"""Playing a tour from its beginning to its end."""

import pytest
from tests.unit.testing.tour.rested import DULL

from onstage.testing.tour import touring
from onstage.testing.tour.tour_world import TourWorld
from onstage.testing.tour.touring import play_tour

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_dull_tour_has_nothing_to_complain_of() -> None:
    result = play_tour(0, DULL)
    assert result.violations == []
    assert result.crashes == 0
    assert result.messages > 20
    assert "an order went well" in result.marks


def test_the_same_seed_gives_the_same_tour() -> None:
    assert play_tour(2).trace_hash == play_tour(2).trace_hash


def test_what_breaks_a_world_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: TourWorld) -> None:
        raise ValueError("the world is round")

    monkeypatch.setattr(touring, "check_rest", breaks)
    assert play_tour(0, DULL).violations == ["world: ValueError: the world is round"]
