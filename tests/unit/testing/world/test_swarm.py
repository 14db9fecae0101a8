"""Swarms: some classes of faults are left out, the others are counted, and calm ends all."""

from onstage.testing.world.swarm import CRASHES, RATES, Fault, Swarm
from onstage.testing.world.tape import Tape


def test_there_are_more_than_twenty_classes_and_each_has_a_rate() -> None:
    assert len(Fault) >= 20
    assert set(RATES) == set(Fault)
    assert set(CRASHES) < set(Fault)


def test_every_world_leaves_out_some_and_every_class_is_in_some() -> None:
    swarms = [Swarm(Tape(seed)) for seed in range(300)]
    for fault in Fault:
        rates = [swarm.rate(fault) for swarm in swarms]
        assert 0.0 in rates
        assert max(rates) > 0
    assert all(any(swarm.rate(fault) == 0 for fault in Fault) for swarm in swarms)


def test_what_strikes_is_counted_until_it_is_calm() -> None:
    swarm = next(swarm for seed in range(50) if (swarm := Swarm(Tape(seed))).rate(Fault.STEP_RAISES) > 0)
    struck = sum(swarm.strikes(Fault.STEP_RAISES) for _ in range(200))
    assert struck == swarm.counts[Fault.STEP_RAISES] > 0
    swarm.is_calm = True
    assert not any(swarm.strikes(Fault.STEP_RAISES) for _ in range(200))
    assert swarm.rate(Fault.STEP_RAISES) == 0


def test_the_empty_tape_has_no_fault() -> None:
    swarm = Swarm(Tape(7, {}))
    assert {swarm.rate(fault) for fault in Fault} == {0.0}
    assert not swarm.has_power_faults
