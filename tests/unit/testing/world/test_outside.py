"""What lies outside: calls are recorded with their keys, and steps fail before or after their effect."""

import asyncio

import pytest

from onstage.errors import NotInExecution
from onstage.testing.world.outside import OUTSIDE, Outside
from onstage.testing.world.playing import play
from onstage.testing.world.repertoire import charge
from onstage.testing.world.swarm import Fault, Swarm
from onstage.testing.world.tape import Tape


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


def test_a_handler_cancels_one_of_its_branches_and_the_others_go_on_to_their_end() -> None:
    ended = list[int]()

    async def branch(n: int) -> None:
        for _ in range(30):
            await asyncio.sleep(0)
        ended.append(n)

    async def story() -> None:
        outside = Outside()
        swarm = Swarm(Tape(0, {Fault.BRANCH_CANCELLED.value: [1, 1, 3], "levels": [0] + [5] * len(Fault)}))
        outside.enter(swarm, lambda: 0, lambda _execution, _position: None)
        with pytest.raises(asyncio.CancelledError):
            await outside.together(branch(0), branch(1), branch(2))
        assert swarm.counts[Fault.BRANCH_CANCELLED] == 1
        for _ in range(40):
            await asyncio.sleep(0)

    asyncio.run(story())
    assert ended == [0, 2]


def test_a_refused_transaction_leaves_no_row() -> None:
    results = [play(seed) for seed in range(12)]
    assert sum(result.faults[Fault.TRANSACTION_RAISES] for result in results) > 5
    assert any("a user's transaction was refused" in result.marks for result in results)
    assert [what for result in results for what in result.violations] == []
