"""Which processes may be undone, as far as one knows beforehand."""

import asyncio

from tests.unit.runtime.playhouse import playing
from tests.unit.runtime.shop_undone import undone_shop
from tests.unit.runtime.troupe import Play, Staged, touring


def test_in_one_store_each_that_does_not_say_otherwise() -> None:
    async def story(undo: bool) -> frozenset[str]:
        async with playing(*undone_shop([], undo=undo)) as house:
            return frozenset(house.node.waves.undoing)

    assert asyncio.run(story(True)) == {"order"}
    assert asyncio.run(story(False)) == frozenset()


def test_apart_only_where_the_app_has_a_step_with_an_undo() -> None:
    async def story(play: Play, name: str) -> frozenset[str]:
        async with touring(name, play=play) as troupe:
            return frozenset(troupe.nodes[name].waves.undoing)

    assert asyncio.run(story(Staged(*undone_shop([])), "stock")) == {"order"}
    assert asyncio.run(story(Play(), "shop")) == frozenset()
