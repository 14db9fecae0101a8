"""What lies outside: calls are recorded with their keys, and steps fail before or after their effect."""

import asyncio

import pytest

from onstage.errors import NotInExecution
from onstage.testing.world.outside import OUTSIDE, Outside
from onstage.testing.world.playing import play
from onstage.testing.world.repertoire import charge
from onstage.testing.world.swarm import Fault


def test_a_step_outside_an_execution_is_refused() -> None:
    with pytest.raises((AssertionError, NotInExecution)):
        asyncio.run(charge.fn("k"))
    with pytest.raises(AssertionError):
        Outside().act_now("pack", "k")


def test_calls_are_recorded_before_and_after_the_effect() -> None:
    result = next(found for seed in range(40) if (found := play(seed)).faults[Fault.STEP_RAISES] > 3)
    calls = OUTSIDE.calls
    begun, happened = [c for c in calls if not c.is_effect], [c for c in calls if c.is_effect]
    assert len(begun) >= len(happened) + result.faults[Fault.STEP_RAISES]
    assert {call.key for call in happened} <= {call.key for call in begun}
    assert all(call.key.endswith(f"/{call.position}") for call in calls)
