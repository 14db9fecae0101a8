"""The faults of tours: each has a rate, and those that may change an order are known."""

from onstage.testing.tour.mishap import LOG_LOSSES, RATES_ON_TOUR, REORDERS, Mishap
from onstage.testing.world.swarm import Fault, Swarm
from onstage.testing.world.tape import Tape


def test_every_mishap_has_a_rate() -> None:
    assert set(Mishap) <= set(RATES_ON_TOUR)
    assert all(0 < rate < 1 for rate in RATES_ON_TOUR.values())
    assert LOG_LOSSES < REORDERS
    assert Mishap.STORED_TWICE not in REORDERS


def test_a_swarm_of_these_rates_knows_no_others() -> None:
    swarm = Swarm(Tape(0), RATES_ON_TOUR)
    assert swarm.rate(Fault.POISON) == 0.0
    assert not swarm.strikes(Fault.DISK_FULL)
    assert any(swarm.rate(fault) for fault in Mishap)
