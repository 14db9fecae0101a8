"""Tours on which clients ask, start and cancel at nodes whose store does not answer, through all faults."""

import gc
import logging
from collections.abc import Callable, Iterator

import pytest
from tests.planted import errand_bugs

from onstage.testing.tour.touring import TourResult, play_tour
from onstage.testing.world.many import quiet

SEEDS = 10
QUIET = 7  # without a crash, and with cancels that come early and of children elsewhere
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    gc.collect()


def played(seed: int) -> TourResult:
    with quiet():
        return play_tour(seed, commissioned=True)


def test_everybody_is_answered_once_and_every_cancel_arrives() -> None:
    tours = [played(seed) for seed in range(SEEDS)]
    assert {tour.seed: tour.violations[:3] for tour in tours if tour.violations} == {}
    assert sum(tour.crashes for tour in tours) > SEEDS


@pytest.mark.parametrize("plant", [errand_bugs.child_elsewhere_not_told, errand_bugs.cancel_ahead_forgotten])
def test_a_bug_in_errands_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = played(QUIET).violations
    assert any(each.startswith(("liveness", "commission")) for each in found), found
