"""The log in memory: each fault does what its name says, and a run is repeated exactly. The rest is the contract's."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog, Fate
from onstage.errors import BrokerUnavailable, UsageError
from onstage.ports.broker import CursorLost, Message
from onstage.testing.virtual_loop import VirtualLoop

T = TypeVar("T")


class Fates:
    """The fates of the next publishes, then none."""

    def __init__(self, *fates: Fate) -> None:
        self.left = list(fates)

    def on_publish(self, messages: Sequence[Message]) -> Fate:
        return self.left.pop(0) if self.left else Fate()


def on_virtual_time(scene: Callable[[], Awaitable[T]]) -> T:
    loop = VirtualLoop()
    task = loop.create_task(scene())  # type: ignore[arg-type]
    loop.run_to(3600)
    assert task.done(), "it waits for ever"
    loop.close()
    return task.result()  # type: ignore[no-any-return]


def events(*numbers: int, id: bool = True) -> list[Message]:
    return [Message(f"evt.shop.{n % 3}.a", b"%d" % n, {}, f"id-{n}" if id else None) for n in numbers]


async def opened(log: EmbeddedLog, *fates: Fate) -> EmbeddedBroker:
    broker = EmbeddedBroker(log, faults=Fates(*fates))
    await broker.open()
    return broker


def there(log: EmbeddedLog) -> list[int]:
    found = [log.at(seq) for seq in range(1, log.last + 1)]
    return [int(logged.data) for logged in found if logged is not None]


def test_a_lost_publish_stores_nothing_and_says_that_nobody_knows() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        broker = await opened(log, Fate.lost())
        with pytest.raises(BrokerUnavailable):
            await broker.publish(events(1, 2))
        assert there(log) == []
        assert await broker.publish(events(1, 2)) == [1, 2]

    on_virtual_time(scene)


def test_a_lost_answer_leaves_the_messages_where_the_next_attempt_finds_them() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        broker = await opened(log, Fate.unanswered())
        with pytest.raises(BrokerUnavailable):
            await broker.publish(events(1, 2))
        assert await broker.publish(events(1, 2, 3)) == [1, 2, 3]
        assert there(log) == [1, 2, 3]

    on_virtual_time(scene)


def test_a_part_may_be_stored() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        broker = await opened(log, Fate((0, 1)))
        with pytest.raises(BrokerUnavailable):
            await broker.publish(events(1, 2, 3))
        assert there(log) == [1, 2]

    on_virtual_time(scene)


def test_a_message_may_be_stored_twice_in_spite_of_its_id() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        messages = events(1, 2, 3)
        broker = await opened(log, Fate.doubled(messages, 1))
        assert await broker.publish(messages) == [1, 2, 4]
        assert there(log) == [1, 2, 2, 3]

    on_virtual_time(scene)


def test_messages_of_different_subjects_may_change_places() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        messages = events(1, 2, 3)
        broker = await opened(log, Fate.swapped(messages, 1))
        assert await broker.publish(messages) == [1, 3, 2]
        assert there(log) == [1, 3, 2]
        with pytest.raises(UsageError):
            Fate.swapped(events(1, 4), 0)

    on_virtual_time(scene)


def test_a_publish_takes_its_time_on_the_loop_and_may_find_the_broker_gone() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        broker = await opened(log, Fate(delay_s=5), Fate(delay_s=5))
        began_s = asyncio.get_running_loop().time()
        await broker.publish(events(1))
        assert asyncio.get_running_loop().time() - began_s == 5
        asyncio.get_running_loop().call_later(1, log.leave)
        with pytest.raises(BrokerUnavailable):
            await broker.publish(events(2))
        assert there(log) == [1]

    on_virtual_time(scene)


def test_a_log_that_lost_its_tail_is_the_same_log_and_gives_the_numbers_again() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        broker = await opened(log)
        await broker.publish(events(1, 2, 3, 4))
        before = await broker.state()
        cursor = await broker.cursor("c", ["evt.shop.>"], after=4)
        log.truncate(2)
        with pytest.raises(CursorLost, match="tail"):
            await cursor.next()
        after = await broker.state()
        assert (after.identity, after.last) == (before.identity, 2)
        assert await broker.publish(events(5, 3, 4)) == [3, 4, 5]
        assert there(log) == [1, 2, 5, 3, 4]

    on_virtual_time(scene)


def test_a_log_that_was_made_anew_is_another_one() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        broker = await opened(log)
        await broker.publish(events(1))
        before = await broker.state()
        log.begin_anew()
        after = await broker.state()
        assert (after.first, after.last) == (1, 0)
        assert after.identity != before.identity
        assert await broker.publish(events(1)) == [1]

    on_virtual_time(scene)


def test_only_so_many_ids_are_remembered() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop", ids_max=2)
        broker = await opened(log)
        await broker.publish(events(1, 2, 3))
        assert await broker.publish(events(2, 3)) == [2, 3]
        assert await broker.publish(events(1)) == [4]

    on_virtual_time(scene)


def test_every_connection_hears_that_the_broker_is_back() -> None:
    async def scene() -> None:
        log = EmbeddedLog("shop")
        heard: list[str] = []
        for name in ("a", "b"):
            broker = await opened(log)
            broker.on_connected = lambda name=name: heard.append(name)
        gone = await opened(log)
        gone.on_connected = lambda: heard.append("gone")
        gone.abandon()
        log.leave("a reason\n  why: of\n  to do: three lines")
        with pytest.raises(BrokerUnavailable, match="a reason"):
            await broker.state()
        assert heard == []
        log.come_back()
        assert heard == ["a", "b"]
        assert broker.trouble is None

    on_virtual_time(scene)


def test_the_reader_of_a_killed_loop_disturbs_nobody() -> None:
    """Nodes of a simulated world are killed with their loops; the log lives on."""
    log = EmbeddedLog("shop")
    loop = VirtualLoop()
    broker = EmbeddedBroker(log)

    async def wait() -> None:
        await broker.open()
        await (await broker.cursor("c", ["evt.shop.>"], after=0)).next()

    loop.create_task(wait())
    loop.run_to(1)
    loop.bury()

    async def scene() -> None:
        other = await opened(log)
        await other.publish(events(1))
        cursor = await other.cursor("c", ["evt.shop.>"], after=0)
        assert len(await cursor.next()) == 1
        broker.abandon()
        log.leave()
        log.come_back()

    on_virtual_time(scene)


def test_a_story_is_told_the_same_way_twice() -> None:
    async def scene() -> list[str]:
        log = EmbeddedLog("shop")
        told: list[str] = []
        writers = [await opened(log, Fate(delay_s=n % 3), Fate.unanswered(), Fate(delay_s=1)) for n in range(5)]
        cursor = await writers[0].cursor("c", ["evt.shop.>"], after=0)

        async def write(n: int) -> None:
            for m in range(4):
                try:
                    told.append(f"{n}: {await writers[n].publish(events(10 * n + m, n))}")
                except BrokerUnavailable:
                    told.append(f"{n}: unknown")
                await asyncio.sleep(n)

        async def read() -> None:
            while True:
                told.append(str([logged.data for logged in await cursor.next()]))

        reading = asyncio.ensure_future(read())
        await asyncio.gather(*map(write, range(5)))
        reading.cancel()
        return told

    first = on_virtual_time(scene)
    assert first == on_virtual_time(scene)
    assert any("unknown" in line for line in first)
