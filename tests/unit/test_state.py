"""`onstage.state`: the public name, how handlers are recognised by it, and the live state of what runs."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import playing

from onstage import Service
from onstage.contracts.inference import keeps_state
from onstage.errors import NotInExecution
from onstage.state import state


async def reads(e: object) -> None:
    await state(int, key="k")


async def reads_through_another(e: object) -> None:
    await reads(e)


async def mentions(e: object) -> None:
    assert state is not None


async def does_not(e: object) -> None:
    assert e is not None


async def shows(e: object) -> None:
    state["parts"] = 1


def test_a_handler_that_calls_it_keeps_state() -> None:
    assert keeps_state(reads)
    assert keeps_state(reads_through_another)


def test_a_mention_or_another_use_is_no_reading() -> None:
    assert not keeps_state(mentions)
    assert not keeps_state(does_not)
    assert not keeps_state(shows)


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
