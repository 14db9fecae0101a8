"""How far an observer is behind: counted in messages that concern it, and for how long it does not get on."""

import asyncio

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import Troupe, touring

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.ports.broker import Message
from onstage.runtime.measurements import measured
from onstage.runtime.observer_lag import LOOKED_BACK, behind, observed


async def values(troupe: Troupe) -> dict[str, float]:
    assert troupe.observatory is not None
    return {family.name: each.value for family in await observed(troupe.observatory) for each in family.samples}


async def until_read(troupe: Troupe) -> dict[str, float]:
    async with asyncio.timeout(10):
        while True:
            found = await values(troupe)
            if not found["onstage_observer_lag_messages"]:
                return found
            await asyncio.sleep(0.005)


def test_what_is_not_read_yet_is_lag_and_what_is_read_is_none() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            found = await until_read(troupe)
            assert found["onstage_observer_events"] > 0
            assert found["onstage_observer_receipts"] > 0
            assert found["onstage_observer_stalled_seconds"] == found["onstage_observer_laid_aside"] == 0
            observatory = troupe.observatory
            assert observatory is not None
            assert observatory.reader is not None
            await observatory.reader.close()
            broker = EmbeddedBroker(troupe.log)
            await broker.open()
            await broker.publish([Message("rcpt.onstage.0.shop", b"x")] * 3 + [Message("ctl.onstage.shop", b"y")])
            await broker.close()
            found = await values(troupe)
            assert found["onstage_observer_lag_messages"] == 3
            assert found["onstage_observer_stalled_seconds"] > 0

    asyncio.run(story())


def test_what_services_say_to_each_other_is_no_lag() -> None:
    async def story() -> None:
        broker = EmbeddedBroker(EmbeddedLog())
        await broker.open()
        assert await behind(broker, 0) == 0
        await broker.publish([Message("evt.onstage.0.a", b"x")])
        await broker.publish([Message("ctl.onstage.shop", b"y")] * 3)
        assert await behind(broker, 0) == 1
        assert await behind(broker, 1) == 0
        await broker.publish([Message("ctl.onstage.shop", b"y")] * LOOKED_BACK)
        assert await behind(broker, 1) == 3, "of so many only the last are looked at"
        assert await behind(broker, 4) == 0
        await broker.close()

    asyncio.run(story())


def test_a_relay_says_how_long_the_oldest_waits() -> None:
    async def story() -> None:
        async with touring() as troupe:
            node = troupe.nodes["shop"]
            exchange = node.exchange
            assert exchange is not None
            await exchange.relay.close()
            await troupe.emit("shop", Placed("o2"))
            told = node.clock.now_ms
            node.clock.now_ms = lambda: told() + 90_000  # type: ignore[method-assign]
            found = {family.name: each.value for family in await measured(node) for each in family.samples}
            assert found["onstage_relay_lag_events"] >= 1
            assert 90 <= found["onstage_relay_lag_seconds"] < 1000

    asyncio.run(story())
