"""What a long step may say, and where; the numbers and texts behind it."""

import asyncio
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Placed, playing

from onstage.contracts.service import Service
from onstage.durable import CompletedElsewhere, completion_token, heartbeat, last_heartbeat
from onstage.errors import DefinitionError, NotInExecution
from onstage.runtime.long_step import HEARTBEAT_BYTES_MAX, Token, number_of
from onstage.runtime.step import step


def aside(long: Any) -> str:
    """Why the execution of this step was set aside."""
    shop = Service("shop")

    @shop.on(Placed)
    async def handle(e: Placed) -> None:
        await long()

    async def play() -> str:
        async with playing(shop) as house:
            return await house.aside(Placed("k"))

    return asyncio.run(play())


def test_outside_a_long_step_there_is_nobody_to_tell() -> None:
    for call in (heartbeat, last_heartbeat, completion_token):
        with pytest.raises(NotInExecution, match="outside a running long step"):
            call()


def test_a_step_says_beforehand_that_it_is_long() -> None:
    @step(completion_timeout="1h")
    async def beats() -> None:
        heartbeat()

    @step(heartbeat_timeout="1h")
    async def asks() -> None:
        completion_token()

    @step(heartbeat_timeout="1h")
    async def leaves() -> None:
        raise CompletedElsewhere

    @step
    async def plain() -> None:
        raise CompletedElsewhere

    assert "it has no heartbeat_timeout=" in aside(beats)
    for wrong in (asks, leaves, plain):
        assert "it has no completion_timeout=" in aside(wrong)
    with pytest.raises(DefinitionError, match="heartbeat_timeout"):
        step(heartbeat_timeout="0s")(aside_of_nothing)


def aside_of_nothing() -> None:
    pass


def test_details_are_plain_data_of_some_size() -> None:
    @step(heartbeat_timeout="1h")
    async def large() -> None:
        heartbeat("x" * HEARTBEAT_BYTES_MAX)

    @step(heartbeat_timeout="1h")
    async def odd() -> None:
        heartbeat(object())

    assert f"the limit is {HEARTBEAT_BYTES_MAX}" in aside(large)
    assert "cannot be kept" in aside(odd)


def test_a_token_is_a_text_for_addresses() -> None:
    text = Token("store-inc-7", 3, "pay#0", 2, bytes(16)).text()
    assert text.replace("-", "").replace("_", "").isalnum()


def test_numbers_of_notes_fit_a_row_and_differ() -> None:
    numbers = {number_of(execution, f"pay#{place}") for execution in range(100) for place in range(10)}
    assert len(numbers) == 1000
    assert max(numbers) < 1 << 56
