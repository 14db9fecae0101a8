from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.web.time_scale import TimeScale

INSTANTS = st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 300)), min_size=1, max_size=60)
HOUR = 3_600_000


@given(INSTANTS, st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=5))
def test_what_is_later_never_stands_further_left(instants: list[tuple[int, int]], busy: list[tuple[int, int]]) -> None:
    scale = TimeScale(instants, busy)
    places = [scale.at(instant) for instant in sorted(instants)]
    assert all(left <= right for left, right in pairwise(places))
    assert all(0 <= place <= 100 for place in places)


@given(INSTANTS)
def test_it_begins_at_the_left_and_ends_at_the_right(instants: list[tuple[int, int]]) -> None:
    scale, ordered = TimeScale(instants), sorted(set(instants))
    assert scale.at(ordered[0]) == 0
    assert len(ordered) == 1 or scale.at(ordered[-1]) == 100


def test_hops_within_one_millisecond_stand_side_by_side() -> None:
    scale = TimeScale([(5, order) for order in range(4)])
    assert [round(scale.at((5, order))) for order in range(4)] == [0, 33, 67, 100]


def test_an_idle_gap_is_collapsed_and_told() -> None:
    scale = TimeScale([(0, 0), (1000, 1), (2000, 2), (9 * HOUR, 3), (9 * HOUR + 1000, 4)])
    assert [(gap.begun, gap.ended) for gap in scale.gaps] == [(2000, 9 * HOUR)]
    assert scale.at((2000, 2)) > 40
    assert scale.gaps[0].width < 5


def test_no_gap_is_collapsed_in_which_something_ran() -> None:
    instants = [(0, 0), (1000, 1), (9 * HOUR, 2)]
    assert TimeScale(instants, [(1000, 9 * HOUR)]).gaps == ()
    assert len(TimeScale(instants, [(0, 1000)]).gaps) == 1


@pytest.mark.parametrize("began", [7, 300, 1_500])
def test_the_words_of_a_tick_do_not_run_into_those_of_a_gap(began: int) -> None:
    for ended in range(3_600_000, 8_000_000, 400_000):
        scale = TimeScale([(0, 0), (began, 1), (11_000, 2), (ended, 3)])
        gaps = [gap.left + gap.width / 2 for gap in scale.gaps]
        ticks = [min(max(x, 2.5), 97.5) for _, x in scale.ticks()]
        assert gaps
        assert all(abs(tick - gap) > 7 for tick in ticks for gap in gaps), ended


def test_ticks_are_round_and_apart() -> None:
    ticks = TimeScale([(0, 0), (9500, 1)], [(0, 9500)]).ticks()
    assert [since for since, _ in ticks] == [0, 2000, 4000, 6000, 8000]
    assert all(right - left > 7 for (_, left), (_, right) in pairwise(ticks))
