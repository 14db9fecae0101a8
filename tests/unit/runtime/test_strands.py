"""Strands: counting without a gap, and asking for what is missing until it is there."""

import asyncio

from tests.unit.runtime.playhouse import Clock

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.core.commit import Commit, Notes
from onstage.ports.store import Declaration
from onstage.runtime.strands import ASK, Ask, Strands, Tally, decode_ask, store_in
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers

SUBJECT = "evt.onstage.1.shop.paid"


class Reading:
    """A store, a broker, and the strands of who reads there."""

    def __init__(self) -> None:
        self.log = EmbeddedLog()
        self.broker = EmbeddedBroker(self.log)
        self.store = MemoryStore(clock=Clock(), workers=InlineWorkers())

    async def open(self) -> Strands:
        await self.broker.open()
        opened = await self.store.open(Declaration((), (), {}, b""))
        self.epoch = opened.epoch
        return await self.strands()

    async def strands(self) -> Strands:
        strands = Strands(self.broker, lambda: self.store.reader)
        await strands.load()
        return strands

    async def keep(self, strands: Strands, tally: Tally) -> None:
        notes = Notes(tally.notes, tally.dropped)
        position = self.store.append(Commit(epoch=self.epoch, notes=notes))
        self.store.flush()
        await self.store.durable(position)
        strands.settle(tally)

    async def hear(self, strands: Strands, *numbers: int, strict: bool = True) -> list[bool]:
        tally = strands.begin()
        taken = [await tally.follows("s", SUBJECT, number, "shop", strict=strict) for number in numbers]
        await self.keep(strands, tally)
        return taken

    def asks(self) -> list[Ask | None]:
        found = (self.log.at(seq) for seq in range(1, self.log.last + 1))
        return [decode_ask(each.data) for each in found if each is not None and ASK in each.headers]


def test_what_comes_behind_a_gap_is_refused_and_asked_for() -> None:
    async def story() -> None:
        reading = Reading()
        strands = await reading.open()
        assert await reading.hear(strands, 1, 2, 4, 5) == [True, True, False, False]
        await strands.ask()
        assert reading.asks() == [Ask("s", SUBJECT, 2)]
        assert [lack.wanted for lack in strands.lacks] == [5]
        assert await reading.hear(strands, 3, 4) == [True, True]
        assert [lack.wanted for lack in strands.lacks] == [5], "5 was refused, and has not come yet"
        assert await reading.hear(strands, 5, 5) == [True, True]
        assert strands.lacks == ()

    asyncio.run(story())


def test_a_lack_survives_a_restart() -> None:
    async def story() -> None:
        reading = Reading()
        await reading.hear(await reading.open(), 1, 3)
        later = await reading.strands()
        assert await later.count("s", SUBJECT) == 1
        await later.ask()
        assert reading.asks() == [Ask("s", SUBJECT, 1)]
        assert await reading.hear(later, 2, 3) == [True, True]
        assert (await reading.strands()).lacks == ()

    asyncio.run(story())


def test_asking_again_takes_longer_each_time() -> None:
    async def story() -> None:
        reading = Reading()
        strands = await reading.open()
        await reading.hear(strands, 2)
        await strands.ask()
        await strands.ask()
        assert len(reading.asks()) == 1

    asyncio.run(story())


def test_who_came_later_takes_any_number_first() -> None:
    async def story() -> None:
        reading = Reading()
        strands = await reading.open()
        assert await reading.hear(strands, 7, 8, 10, strict=False) == [True, True, False]

    asyncio.run(story())


def test_what_the_store_did_not_keep_is_not_counted() -> None:
    async def story() -> None:
        reading = Reading()
        strands = await reading.open()
        tally = strands.begin()
        assert await tally.follows("s", SUBJECT, 1, "shop", strict=True)
        strands.settle(tally)
        assert await strands.count("s", SUBJECT) == 1
        strands.forget(tally)
        assert await strands.count("s", SUBJECT) == 0

    asyncio.run(story())


def test_a_request_that_cannot_be_read_is_none() -> None:
    assert decode_ask(b"\xc1") is None
    assert decode_ask(b"\x91\x05") is None
    assert store_in("abc-def-12") == "abc"
