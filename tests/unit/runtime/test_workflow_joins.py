"""Which workflow an event from outside joins, on a node in memory."""

import asyncio

from tests.unit.runtime.playhouse import Approved, Paid, playing

from onstage import Service, wait
from onstage.runtime.workflow_joins import workflow_joined


def test_only_types_that_a_workflow_waits_for_are_looked_up() -> None:
    service = Service("shop")

    @service.workflow
    async def fulfil(order: str) -> str:
        return (await wait(Approved)).by

    @service.on(Paid)
    async def plain(e: Paid) -> None:
        await wait(Paid)

    async def story() -> None:
        async with playing(service) as house:
            handle = await house.stage.start(fulfil, "o1", id="o1")
            node, n = house.node, int(handle.id.rpartition("-")[2])
            approved, paid = node.routes["shop.approved"], node.routes["shop.paid"]
            assert await workflow_joined(node, approved, "o1", 0) == n
            assert await workflow_joined(node, approved, "o2", 0) == 0
            assert await workflow_joined(node, approved, None, 0) == 0
            assert await workflow_joined(node, paid, "o1", 0) == 0
            assert await workflow_joined(node, paid, "o1", 7) == 7
            assert (await house.emit(Approved("o1", "ann"))).id == handle.id
            assert await handle.result(timeout=5) == "ann"
            assert await workflow_joined(node, approved, "o1", 0) == 0, "it has ended"

    asyncio.run(story())
