"""Many branches at once: nobody starves, and the work grows with their number only."""

import sys

from tests.unit.runtime.playhouse import Paid, Placed
from tests.unit.runtime.test_gather import charge, heard, on_stage, paid, stamp

from onstage import gather
from onstage.runtime.workers import SYNC_STEPS_MAX


def test_more_branches_in_threads_than_there_are_threads_all_end() -> None:
    """https://github.com/inngest/inngest-py/issues/351: two minutes' wait although a worker is free.

    Whoever waits for a thread, or for branches that do, holds none.
    """

    async def two(id: str) -> str:
        return "".join(await gather(stamp(id), stamp(id)))

    async def take(e: Placed) -> Paid:
        results = await gather(*(two(str(number)) for number in range(SYNC_STEPS_MAX)))
        return Paid(e.id, str(len(results)))

    assert on_stage(take, paid) == f'{{"id":"o1","by":"{SYNC_STEPS_MAX}"}}'
    assert len(heard) == 2 * SYNC_STEPS_MAX


def test_the_work_of_a_fan_out_grows_with_its_branches_and_not_with_their_square() -> None:
    """Counted in calls of functions, which no other load on the machine changes."""

    def cost(branches: int) -> int:
        counted = 0

        def count(_: object, event: str, __: object) -> None:
            nonlocal counted
            counted += event in ("call", "c_call")

        async def branch(n: int) -> str:
            return await charge(str(n))

        async def take(e: Placed) -> Paid:
            sys.setprofile(count)
            await gather(*(branch(n) for n in range(branches)))
            sys.setprofile(None)
            return Paid(e.id)

        on_stage(take, paid)
        return counted

    few, many = cost(50), cost(400)
    assert 4 * few < many < 10 * few, f"eight times the branches: {few}, then {many} calls"
