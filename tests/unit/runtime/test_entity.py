"""Keyed state: which keys it takes, what it refuses, and what it says."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Placed, memory, playing

from onstage.contracts.service import Service
from onstage.errors import NotInExecution
from onstage.runtime.entity import STATE_BYTES_MAX, STATE_KEY_CHARS_MAX, Entity
from onstage.state import state


@dataclass(frozen=True)
class Cart:
    skus: tuple[str, ...] = ()


def played(handle: Any, *events: Any, **options: Any) -> list[Any]:
    """The states after these events, or why the last one was set aside."""
    shop = Service("shop")
    shop.on(Placed, **options)(handle)

    async def play() -> list[Any]:
        async with playing(shop) as house:
            for event in events[:-1]:
                await house.settled(event)
            process = await house.emit(events[-1])
            await house.until(lambda: _over(process))
            await house.until(lambda: _quiet(house))
            aside = await house.executions()
            return [view.error for view in aside] or await house.node.store.reader.states()

    return asyncio.run(play())


async def _over(process: Any) -> bool:
    verdict = await process.verdict()
    return verdict.is_final or verdict.status == "stuck"


async def _quiet(house: Any) -> bool:
    return all(delivery.parked for delivery in house.node.open.values())


async def count(e: Placed) -> None:
    read = await state(Cart, key=e.id)
    read.set(Cart((*read.get(Cart()).skus, f"{read.version}")))


def test_each_change_counts_the_version() -> None:
    (row,) = played(count, Placed("k"), Placed("k", 1), Placed("k", 2))
    assert (row.state, row.key, row.version, row.data) == ("shop.Cart", "k", 3, b'{"skus":["0","1","2"]}')


def test_another_key_than_the_executions_is_refused() -> None:
    async def stray(e: Placed) -> None:
        await state(Cart, key=e.id + "x")

    (why,) = played(stray, Placed("k"))
    assert "the execution has the key k" in why
    assert 'key="order_id"' in why


@pytest.mark.parametrize("key", ["", "x" * (STATE_KEY_CHARS_MAX + 1), 5])
def test_a_key_is_a_text_of_some_length(key: Any) -> None:
    async def odd(e: Placed) -> None:
        await state(Cart, key=key)

    (why,) = played(odd, Placed("k"))
    assert "a key is a text of 1 to" in why


def test_what_cannot_be_kept_is_refused_with_the_reason() -> None:
    async def wrong(e: Placed) -> None:
        read: Entity[Any] = await state(Cart, key=e.id)
        read.set(object())

    async def unkeepable(e: Placed) -> None:
        await state(object, key=e.id)

    async def large(e: Placed) -> None:
        (await state(str, key=e.id)).set("x" * STATE_BYTES_MAX)

    assert "cannot be kept" in played(wrong, Placed("k"))[0]
    assert "cannot be stored" in played(unkeepable, Placed("k"))[0]
    assert f"the limit is {STATE_BYTES_MAX}" in played(large, Placed("k"))[0]


def test_outside_a_handler_there_is_no_state() -> None:
    with pytest.raises(NotInExecution, match="read outside a handler"):
        state(Cart, key="k")


def test_a_state_that_is_kept_beyond_its_handler_is_not_changed() -> None:
    kept: list[Entity[Cart]] = []

    async def keep(e: Placed) -> None:
        kept.append(await state(Cart, key=e.id))

    assert played(keep, Placed("k")) == []
    with pytest.raises(NotInExecution, match="outside the execution"):
        kept[0].set(Cart())
    assert repr(kept[0]) == "State[shop.Cart k version 0]"


def test_a_value_that_fits_no_longer_sets_its_execution_aside() -> None:
    async def play() -> str:
        on = memory()
        first, second = Service("shop"), Service("shop")

        @first.on(Placed)
        async def write(e: Placed) -> None:
            (await state(str, key=e.id, name="it")).set("text")

        @second.on(Placed, name="write")
        async def read(e: Placed) -> None:
            await state(int, key=e.id, name="it")

        async with playing(first, on=on) as house:
            await house.settled(Placed("k"))
        async with playing(second, on=on) as house:
            return await house.aside(Placed("k", 2))

    assert "does not fit its type any more" in asyncio.run(play())


def test_a_refused_change_is_forgotten_by_who_reads_next() -> None:
    async def play() -> Any:
        shop = Service("shop")

        @shop.on(Placed)
        async def first(e: Placed) -> None:
            read = await state(int, key=e.id, name="n")
            read.set(read.get(0) + 1)

        @shop.on(Approved)
        async def then(e: Approved) -> None:
            read = await state(int, key=e.id, name="n")
            read.set(read.get(0) + 10)

        async with playing(shop) as house:
            for n in range(5):
                await house.emit(Placed("k", n))
                await house.emit(Approved("k", str(n)))
            await house.until(house.has_nothing_open)
            return await house.node.store.reader.state("shop.n", "k")

    row = asyncio.run(play())
    assert (row.version, row.data) == (10, b"55")
