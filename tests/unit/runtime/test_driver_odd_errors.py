"""Errors that are hard to write down end like any other: tried again, then set aside."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Placed, playing

from onstage import Reject, Retry, Service, step
from onstage.errors import RetryAfter


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


HALF = "no file \udcff"  # what the system says about a file whose name is not UTF-8
ODD = [(FileNotFoundError(HALF), r"no file \udcff"), (Mute(), "Mute"), (RetryAfter("soon", HALF), "retry after soon")]


@pytest.mark.parametrize(("error", "said"), ODD)
@pytest.mark.parametrize("in_step", [False, True])
def test_an_error_that_cannot_be_stored_as_it_is_becomes_a_dead_letter(
    error: Exception, said: str, in_step: bool
) -> None:
    shop, tries = Service("shop"), list[int]()

    @step(retry=Retry(2))
    async def act() -> None:
        tries.append(1)
        raise error

    @shop.on(Placed, retry=Retry(2))
    async def take(e: Placed) -> None:
        if in_step:
            await act()
        tries.append(1)
        raise error

    async def story() -> None:
        async with playing(shop) as house:
            assert said in await house.aside(Placed("o1"))

    asyncio.run(story())
    assert len(tries) == (4 if in_step else 2)


@pytest.mark.parametrize("reason", [HALF, Mute(), "x" * 100_000])
def test_a_rejection_that_cannot_be_stored_as_it_is_ends_its_execution(reason: str) -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        raise Reject(reason)

    async def story() -> None:
        async with playing(shop) as house:
            verdict = await house.settled(Placed("o1"))
            assert "shop.take rejected it" in str(verdict)
            assert len(str(verdict)) < 10_000

    asyncio.run(story())
