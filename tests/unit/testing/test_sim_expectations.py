"""What a violation looks like in a test that fails."""

import pytest
from tests.scenario.expecting_scenes import OrderPlaced, shop
from tests.scenario.played_scene import scene

from onstage.testing import Sim
from onstage.testing.sim_expectations import Judge


@scene
async def test_it_names_each_new_violation_once_and_forgets_what_it_looked_at() -> None:
    async with Sim(shop) as sim:
        await sim.emit(OrderPlaced("o1", "both"))
        with pytest.raises(AssertionError, match="never_both"):
            await sim.settle()
        world, judge = sim._world, Judge()  # noqa: SLF001 - a judge of its own, for the same world
        number = (await world.store.reader.processes())[-1].id
        touched = {number: None}
        with pytest.raises(AssertionError, match="order o1 violates never_both") as raised:
            await judge.refuse_violations(world.store.reader, touched, shop.processes)
        assert str(raised.value).count("\n") == 2
        assert touched == {}
        await judge.refuse_violations(world.store.reader, {number: None}, shop.processes)
