"""Time and chance in a handler, the same on every replay; and what a step may ask: its key, its resources."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.runtime.playhouse import Approved, Clock, Paid, Placed, memory, playing

import onstage
from onstage import Retry, Service, idempotency_key, resource, step, transaction, wait
from onstage.errors import NotInExecution

HOUR_MS = 3_600_000


def test_time_and_chance_are_the_same_on_every_replay() -> None:
    shop = Service("shop")
    drawn: list[tuple[object, ...]] = []

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        drawn.append((onstage.now(), onstage.random(), onstage.uuid(), onstage.uuid()))
        return Paid(e.id, (await wait(Approved)).by)

    async def story() -> None:
        store, clock = memory(), Clock()
        async with playing(shop, on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
        clock.ahead_ms = HOUR_MS
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await process.verdict(timeout=5)

    asyncio.run(story())
    first, second = drawn
    assert first == second
    assert first[2] != first[3]
    assert getattr(first[2], "version", None) == 4


def test_inside_a_step_time_is_the_clocks_own() -> None:
    shop, clock = Service("shop"), Clock()
    drawn: list[object] = []

    @step
    async def look() -> None:
        drawn.append(onstage.now())
        clock.ahead_ms += HOUR_MS
        drawn.append(onstage.now())

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await look()

    async def story() -> None:
        async with playing(shop, clock=clock) as house:
            await house.settled(Placed("o1"))

    asyncio.run(story())
    assert drawn[0] != drawn[1]


# --- what a step may ask ----------------------------------------------------------------------------------


def test_the_idempotency_key_is_the_same_in_every_attempt_and_after_a_retry_by_hand() -> None:
    shop = Service("shop")
    keys: list[str] = []

    @step(retries=1)
    def charge() -> None:
        keys.append(idempotency_key())
        if len(keys) < 4:
            raise ConnectionError

    @step
    async def other() -> None:
        keys.append(idempotency_key())

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> None:
        await charge()
        await other()

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "stuck")
            execution = (await house.only_execution()).id
        async with playing(shop, on=store) as house:
            await house.stage.operate("retry", execution)
            process = await house.stage.process("o1")
            await process.verdict(timeout=5)

    asyncio.run(story())
    assert len(set(keys[:4])) == 1
    assert keys[0].endswith("/shop.take/charge#0")
    assert keys[4].endswith("/shop.take/other#0")


class Bank:
    pass


@asynccontextmanager
async def open_bank() -> AsyncIterator[tuple[Bank, str]]:
    yield Bank(), "eur"


def test_a_step_finds_a_resource_by_its_type_and_hears_what_there_is_if_not() -> None:
    shop = Service("shop", lifespan=open_bank)
    found: list[object] = []

    @step
    async def charge() -> None:
        found.extend([resource(Bank), resource(str)])

    @step
    def miss() -> None:
        resource(int)

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> None:
        await charge()
        await miss()

    async def story() -> str:
        async with playing(shop) as house:
            return await house.aside(Placed("o1"))

    why = asyncio.run(story())
    assert isinstance(found[0], Bank)
    assert found[1] == "eur"
    assert "service shop has no resource of type int" in why
    assert "its lifespan yielded Bank, str" in why


def test_resource_and_key_belong_into_a_step() -> None:
    with pytest.raises(NotInExecution, match="outside a running step"):
        resource(Bank)
    with pytest.raises(NotInExecution, match="outside a running step"):
        idempotency_key()


def test_a_transaction_needs_a_store_with_tables() -> None:
    shop = Service("shop")

    @transaction
    def book(db: object) -> None: ...

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await book()

    async def story() -> str:
        async with playing(shop) as house:
            return await house.aside(Placed("o1"))

    assert "the memory store has no transactions" in asyncio.run(story())
