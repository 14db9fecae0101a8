"""`state`, as users import it: the live state of what runs."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import playing

from onstage import Service
from onstage.errors import NotInExecution
from onstage.state import state


def test_what_is_set_is_got_again_as_it_is_stored() -> None:
    shop = Service("shop")

    @shop.workflow
    async def fulfil(order: str) -> list[str]:
        state["parts"] = ("a", order)
        parts: list[str] = state["parts"]
        return parts

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(fulfil, "b")
            assert await handle.result(timeout=5) == ["a", "b"]
            assert await handle.state() == {"parts": ["a", "b"]}

    asyncio.run(story())


def test_there_is_none_outside() -> None:
    with pytest.raises(NotInExecution):
        state["parts"] = 1
