"""Completion by token on a real node: through the stage, a client and the command line's way."""

import asyncio
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, memory, playing

from onstage.contracts.service import Service
from onstage.durable import CompletedElsewhere, completion_token
from onstage.errors import StepFailed, UsageError
from onstage.runtime.completion import COMPLETION_BYTES_MAX, outcome_of
from onstage.runtime.step import step


def shop(tokens: list[str]) -> Service:
    service = Service("shop")

    @step(completion_timeout="1h", retries=1)
    def pay(key: str) -> str:
        tokens.append(completion_token())
        raise CompletedElsewhere

    @service.on(Placed)
    async def ask(e: Placed) -> Paid:
        return Paid(e.id, await pay(e.id))

    return service


async def waiting(house: Any, tokens: list[str]) -> bool:
    return bool(tokens) and all(delivery.parked for delivery in house.node.open.values())


def test_the_stage_completes_and_fails_steps() -> None:
    tokens: list[str] = []

    async def play() -> list[bytes]:
        async with playing(shop(tokens)) as house:
            await house.emit(Placed("k"))
            await house.until(lambda: waiting(house, tokens))
            assert await house.stage.fail(tokens[0], ValueError("busy")) == "step pay of shop.ask has failed"
            await house.until(lambda: _two(tokens))
            assert await house.stage.complete(tokens[1], "r") == "step pay of shop.ask is completed"
            await house.until(house.has_nothing_open)
            return [event.data for event in await house.events("shop.paid")]

    async def _two(tokens: list[str]) -> bool:
        return len(tokens) == 2

    assert asyncio.run(play()) == [b'{"id":"k","by":"r"}']


def test_what_came_while_no_node_ran_is_taken_by_the_next() -> None:
    tokens: list[str] = []

    async def play() -> int:
        on = memory()
        async with playing(shop(tokens), on=on) as house:
            await house.emit(Placed("k"))
            await house.until(lambda: waiting(house, tokens))
            house.node.open.clear()  # as a client that holds the store: it runs nothing
            await house.stage.complete(tokens[0], "r")
        async with playing(shop(tokens), on=on) as house:
            await house.until(house.has_nothing_open)
            assert await house.node.store.reader.notes("completion") == []
            return len(await house.events("shop.paid"))

    assert asyncio.run(play()) == 1
    assert len(tokens) == 1


def test_a_completion_behind_the_end_of_the_step_is_refused() -> None:
    tokens, refused, houses = list[str](), list[str](), list[Any]()
    service = Service("shop")

    @step(completion_timeout="1h", retries=0)
    async def pay(key: str) -> str:
        tokens.append(completion_token())
        raise ConnectionError("no line")

    @service.on(Placed)
    async def ask(e: Placed) -> Paid:
        try:
            return Paid(e.id, await pay(e.id))
        except StepFailed:
            with pytest.raises(UsageError) as told:
                await houses[0].stage.complete(tokens[0], "late")
            refused.append(str(told.value).partition("\n")[0])
            return Paid(e.id, "failed")

    async def play() -> tuple[list[bytes], list[Any]]:
        async with playing(service) as house:
            houses.append(house)
            await house.emit(Placed("k"))
            await house.until(house.has_nothing_open)
            kept = await house.node.store.reader.notes("completion")
            return [event.data for event in await house.events("shop.paid")], list(kept)

    assert asyncio.run(play()) == ([b'{"id":"k","by":"failed"}'], [])
    assert refused == ["step pay of shop.ask is about to end"]


def test_a_result_that_is_too_large_is_refused() -> None:
    tokens: list[str] = []

    async def play() -> None:
        async with playing(shop(tokens)) as house:
            await house.emit(Placed("k"))
            await house.until(lambda: waiting(house, tokens))
            with pytest.raises(UsageError, match="the limit is"):
                await house.stage.complete(tokens[0], "x" * COMPLETION_BYTES_MAX)

    asyncio.run(play())


def test_an_error_is_told_by_its_text_and_its_class() -> None:
    assert outcome_of("no") == ("no", None)
    assert outcome_of(ValueError("no")) == ("no", "ValueError")
    assert outcome_of(ValueError()) == ("ValueError", "ValueError")
