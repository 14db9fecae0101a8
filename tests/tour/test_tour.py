"""Many tours: nodes, their observer and their broker under faults; everything has to end, and every check to hold."""

import gc
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import pytest

from onstage.testing.tour.mishap import RATES_ON_TOUR, REORDERS
from onstage.testing.tour.rest import MARKS_ON_TOUR
from onstage.testing.tour.touring import TourResult, play_tour
from onstage.testing.world.many import quiet

SEEDS = 50
AT_ONCE = 2
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


def played(seed: int) -> TourResult:
    """Play one tour in silence."""
    logging.disable(logging.CRITICAL)
    with quiet():
        return play_tour(seed)


@cache
def tours() -> list[TourResult]:
    """The tours of the first seeds."""
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        return list(pool.map(played, range(SEEDS)))


def test_every_tour_comes_to_rest_and_every_check_holds() -> None:
    failed = {tour.seed: tour.violations[:3] for tour in tours() if tour.violations}
    assert failed == {}


def test_every_fault_strikes_and_every_mark_is_seen() -> None:
    struck = sum((tour.faults for tour in tours()), Counter())
    assert [fault.value for fault in RATES_ON_TOUR if not struck[fault]] == []
    seen = {mark for tour in tours() for mark in tour.marks}
    assert seen >= set(MARKS_ON_TOUR)
    assert sum(tour.crashes for tour in tours()) > SEEDS


def test_some_tours_check_the_order_over_all_types_of_a_key() -> None:
    plain = [tour for tour in tours() if not any(tour.faults[fault] for fault in REORDERS)]
    assert len(plain) >= 2
    assert sum(tour.messages for tour in plain) > 100


def test_the_same_seed_gives_the_same_tour() -> None:
    before = tours()[3]
    again = played(3)
    assert again.trace_hash == before.trace_hash
    assert again.faults == before.faults
    assert played(4).trace_hash != before.trace_hash
