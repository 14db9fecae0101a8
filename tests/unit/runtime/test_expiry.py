"""Events that are good for a while only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tests.unit.runtime.playhouse import Paid, Placed, playing

from onstage import Service, step
from onstage.events.envelope import Envelope
from onstage.events.receipt import Status
from onstage.runtime.expiry import Expired, may_begin, settle_expired

calls: list[str] = []


@step
async def note(id: str) -> None:
    calls.append(id)


def shop() -> Service:
    service = Service("shop")

    @service.on(Placed)
    async def take(e: Placed) -> Paid:
        await note(e.id)
        return Paid(e.id)

    return service


def of_age(id: str, expires: datetime) -> Envelope:
    data = f'{{"id":"{id}"}}'.encode()
    return Envelope(id=id, source="//test", type="shop.placed", expirytime=expires, data=data)


def test_an_expiry_from_outside_is_heeded_when_the_handler_would_begin() -> None:
    async def story() -> None:
        calls.clear()
        async with playing(shop()) as house:
            now = datetime.fromtimestamp(house.node.clock.now_ms() / 1000, UTC)
            for name, ahead in (("old", -1), ("young", 3_600)):
                process = await house.stage.emit_envelope(of_age(name, now + timedelta(seconds=ahead)))
                await process.verdict(timeout=10)
            assert calls == ["young"]
            (skipped,) = [
                each
                for number in (1, 2)
                for each in await house.node.store.reader.executions(process=number)
                if each.status == Status.SKIPPED
            ]
            assert "it expired at" in str(skipped.error)
            for each in await house.node.store.reader.processes():
                assert (each.open, each.digest) == (0, 0)

    asyncio.run(story())


def test_that_it_began_is_stored_before_its_first_effect() -> None:
    statuses: list[list[int]] = []
    service = Service("shop")

    async def story() -> None:
        async with playing(service) as house:
            houses.append(house)
            await house.stage.emit(Placed("a"), expires="1h")
            await house.until(house.has_nothing_open)
        assert statuses == [[Status.RUNNING]]

    houses: list[object] = []

    @step
    async def look() -> None:
        reader = houses[0].node.store.reader  # type: ignore[attr-defined]
        statuses.append([view.status for view in await reader.executions()])

    @service.on(Placed)
    async def take(e: Placed) -> None:
        await look()

    asyncio.run(story())


def test_an_expired_execution_says_when() -> None:
    assert Expired(5).expires == 5
    assert callable(may_begin)
    assert callable(settle_expired)
