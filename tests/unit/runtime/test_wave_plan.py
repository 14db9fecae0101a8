"""The plan of an undo: what the wave would do, in its order, and nothing done."""

import asyncio

from tests.unit.runtime.playhouse import Placed, playing
from tests.unit.runtime.shop_undone import WHOLE, undone_shop

from onstage.runtime.wave_plan import PlannedUndo, plan_of


def test_it_names_each_step_in_its_round() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did)) as house:
            process = await house.emit(Placed("o1", 3))
            await process.verdict(timeout=5)
            number = house.node.numbers.identity.local(process.id) or 0
            plan = await plan_of(house.node.store.reader, number)
            assert [each[:4] for each in plan] == [
                PlannedUndo(1, "till.take", "money#0", in_doubt=False)[:4],
                PlannedUndo(2, "stock.reserve", "shelf#0", in_doubt=False)[:4],
            ]
            done_by = [(await house.stored(each.execution)).execution.handler for each in plan]
            assert done_by == ["till.take", "stock.reserve"]
            assert [each.segment for each in plan] == [0, 0]

    asyncio.run(story())
    assert did == WHOLE[:2]


def test_what_was_undone_already_is_not_planned() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did, undo=False)) as house:
            process = await house.emit(Placed("o1", 0))
            await process.verdict(timeout=5)
            number = house.node.numbers.identity.local(process.id) or 0
            plan = await plan_of(house.node.store.reader, number)
            assert [each.step for each in plan] == ["shelf#0"]
            assert await plan_of(house.node.store.reader, number + 1) == []

    asyncio.run(story())
    assert did == WHOLE[:3]
