"""Pauses as one note: kept, read back, taken back if it cannot be written."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Placed, playing

from onstage import Service
from onstage.core.journal import Entry
from onstage.errors import UsageError
from onstage.observe.verdict import Pause
from onstage.runtime.pauses import pause_of, pauses_in


def shop(ran: list[str]) -> Service:
    service = Service("shop")

    @service.on(Placed)
    async def take(e: Placed) -> None:
        ran.append(e.id)

    return service


def test_a_pause_says_since_when_by_whom_and_why() -> None:
    ran: list[str] = []

    async def story() -> None:
        async with playing(shop(ran)) as house:
            before = house.node.clock.now_ms()
            assert await house.stage.pause("shop.take", by="ana", why="stocktaking") == "shop.take is paused"
            (pause,) = (await pauses_in(house.node.store.reader)).values()
            assert (pause.by, pause.why) == ("ana", "stocktaking")
            assert before <= pause.since <= house.node.clock.now_ms()
            told = await house.stage.pause("shop.take", by="bob")
            assert told.startswith("shop.take is paused already, since 20")
            assert told.endswith("by ana: stocktaking")
            assert "shop.take" in house.node.flow.pauses
            process = await house.emit(Placed("a"))
            assert (await process.verdict(timeout=0.05)).status == "waiting"
            assert await house.stage.resume("shop.take") == "shop.take goes on"
            assert (await process.verdict(timeout=10)).is_final
            assert await pauses_in(house.node.store.reader) == {}

    asyncio.run(story())
    assert ran == ["a"]


def test_who_says_it_again_is_told_when_it_is_durable() -> None:
    async def story() -> None:
        async with playing(shop([])) as house:
            stage, store = house.stage, house.node.store
            plain, disk = store.durable, asyncio.Event()

            async def durable(position: int) -> Entry | None:
                await disk.wait()
                return await plain(position)

            store.durable = durable  # type: ignore[method-assign]
            for said in (lambda: stage.pause("shop.take", by="ana"), lambda: stage.resume("shop.take")):
                disk.clear()
                told = [asyncio.ensure_future(said()) for _ in range(2)]
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not any(each.done() for each in told), "a crash could still undo it"
                disk.set()
                first, again = await asyncio.gather(*told, return_exceptions=True)
                assert first in ("shop.take is paused", "shop.take goes on")
                assert "already" in str(again) or "paused is: nothing" in str(again)

    asyncio.run(story())


def test_a_service_and_its_handlers_are_paused_each_for_itself() -> None:
    ran: list[str] = []

    async def story() -> None:
        async with playing(shop(ran)) as house:
            await house.stage.pause("shop")
            await house.stage.pause("shop.take")
            process = await house.emit(Placed("a"))
            await house.stage.resume("shop.take")
            assert (await process.verdict(timeout=0.05)).status == "waiting"
            await house.stage.resume("shop")
            assert (await process.verdict(timeout=10)).is_final

    asyncio.run(story())


def test_unknown_names_are_refused_with_what_there_is() -> None:
    async def story() -> None:
        async with playing(shop([])) as house:
            with pytest.raises(UsageError, match=r"there are shop, shop\.take"):
                await house.stage.pause("shop.give")
            with pytest.raises(UsageError, match="paused is: nothing"):
                await house.stage.resume("shop")

    asyncio.run(story())


def test_a_handler_is_held_by_its_own_pause_or_its_services() -> None:
    own, whole = Pause(1, "a"), Pause(2, "b")
    assert pause_of("shop.take", {"shop.take": own, "shop": whole}) is own
    assert pause_of("shop.give", {"shop.take": own, "shop": whole}) is whole
    assert pause_of("mail.send", {"shop.take": own, "shop": whole}) is None
