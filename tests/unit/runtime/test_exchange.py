"""Nodes that exchange events over a broker: what one emits, another handles, and the observer knows how it ended."""

import asyncio

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import touring


def test_a_process_runs_through_three_nodes() -> None:
    async def story() -> None:
        async with touring() as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            verdict = await troupe.verdict(process)
            assert str(verdict) == "completed (shop.paid)"
            assert troupe.play.effects == [("charge", "o1"), ("Paid", "o1")]

    asyncio.run(story())
