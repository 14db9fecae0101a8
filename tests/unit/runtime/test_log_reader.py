"""A log reader: each message once, from a place that is verified, whatever the log has lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.unit.runtime.playhouse import PATIENCE_S, Clock

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.contracts.topology import Place
from onstage.core.commit import Commit, Notes
from onstage.errors import BrokerUnavailable
from onstage.events.subject import receipt_subject
from onstage.ports.broker import Logged, Message
from onstage.ports.store import Declaration
from onstage.runtime.log_reader import LogReader
from onstage.runtime.marks import ID, MARKS_KEPT
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers

SUBJECT = receipt_subject("onstage", 0)


class Reading:
    """One reader over one log; it writes down what it takes."""

    def __init__(self) -> None:
        self.log = EmbeddedLog()
        self.broker = EmbeddedBroker(self.log)
        self.store = MemoryStore(clock=Clock(), workers=InlineWorkers())
        self.taken: list[str] = []
        self.begin = Place()
        self.refuses = 0
        self.keeps = True
        self.reader: LogReader | None = None

    async def take(self, messages: Sequence[Logged], place: Notes) -> bool:
        if self.refuses:
            self.refuses -= 1
            raise BrokerUnavailable("not now")
        self.taken += [message.headers[ID] for message in messages]
        if self.keeps:
            position = self.store.append(Commit(epoch=self.epoch, notes=place))
            self.store.flush()
            await self.store.durable(position)
        return self.keeps

    async def open(self) -> None:
        await self.broker.open()
        self.epoch = (await self.store.open(Declaration((), (), {}, b""))).epoch
        self.start()

    def start(self) -> None:
        self.reader = LogReader(
            "one",
            [SUBJECT],
            broker=self.broker,
            reader=lambda: self.store.reader,
            clock=Clock(),
            take=self.take,
            begin=lambda: self.begin,
        )
        self.reader.start()

    async def stop(self) -> None:
        if self.reader is not None:
            await self.reader.close()

    async def publish(self, *names: str) -> None:
        await self.broker.publish([Message(SUBJECT, b"", {ID: name}) for name in names])

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def until_taken(self, *names: str) -> None:
        await self.until(lambda: self.taken[-len(names) :] == list(names))


@asynccontextmanager
async def reading() -> AsyncIterator[Reading]:
    one = Reading()
    await one.open()
    try:
        yield one
    finally:
        await one.stop()


def test_it_goes_on_where_it_was() -> None:
    async def story() -> None:
        async with reading() as one:
            await one.publish("a", "b")
            await one.until_taken("a", "b")
            await one.stop()
            await one.publish("c")
            one.start()
            await one.until_taken("a", "b", "c")

    asyncio.run(story())


def test_a_forgotten_cursor_costs_nothing() -> None:
    async def story() -> None:
        async with reading() as one:
            await one.publish("a")
            await one.until_taken("a")
            one.log.forget_all()
            await one.publish("b")
            await one.until_taken("a", "b")

    asyncio.run(story())


def test_what_stands_under_the_numbers_of_a_lost_end_is_read() -> None:
    async def story() -> None:
        async with reading() as one:
            await one.publish("a")
            await one.until_taken("a")
            await one.publish("b", "c")
            await one.until_taken("b", "c")
            await one.stop()
            one.log.truncate(1)
            await one.publish("x", "y", "z")
            one.start()
            await one.until_taken("a", "b", "c", "x", "y", "z")
            numbers = [note.number for note in await one.store.reader.notes("place one")]
            assert max(numbers) == 4, "places of what was lost are forgotten"

    asyncio.run(story())


def test_a_log_made_anew_is_read_from_its_beginning() -> None:
    async def story() -> None:
        async with reading() as one:
            await one.publish("a", "b")
            await one.until_taken("a", "b")
            one.log.begin_anew()
            await one.publish("c")
            await one.until_taken("a", "b", "c")

    asyncio.run(story())


def test_a_beginning_that_is_no_longer_there_is_the_beginning_of_the_log() -> None:
    async def story() -> None:
        one = Reading()
        one.begin = Place("onstage-1", 2, "b")
        await one.broker.open()
        await one.publish("a", "b")
        one.log.truncate(1)
        await one.publish("x", "y")
        await one.open()
        await one.until_taken("a", "x", "y")
        await one.stop()

    asyncio.run(story())


def test_it_begins_behind_the_message_it_is_told() -> None:
    async def story() -> None:
        one = Reading()
        one.begin = Place("onstage-1", 2, "b")
        await one.broker.open()
        await one.publish("a", "b", "c")
        await one.open()
        await one.until_taken("c")
        assert one.taken == ["c"]
        await one.stop()

    asyncio.run(story())


def test_a_log_that_changes_before_the_cursor_is_there_is_noticed() -> None:
    async def story() -> None:
        async with reading() as one:
            await one.publish("a", "b")
            await one.until_taken("a", "b")
            await one.stop()
            plain = one.broker.cursor

            async def late(name: str, subjects: Sequence[str], *, after: int) -> Any:
                if not one.log.identity.endswith("2"):
                    one.log.begin_anew()
                    await one.publish("x", "y", "z")
                return await plain(name, subjects, after=after)

            one.broker.cursor = late  # type: ignore[method-assign]
            one.start()
            await one.until_taken("a", "b", "x", "y", "z")

    asyncio.run(story())


def test_what_was_not_kept_is_read_again() -> None:
    async def story() -> None:
        async with reading() as one:
            one.keeps = False
            await one.publish("a")
            await one.until_taken("a")
            one.log.forget_all()
            await one.until_taken("a", "a")
            one.keeps = True
            await one.publish("b")
            await one.until_taken("b")
            one.log.forget_all()
            await one.publish("c")
            await one.until_taken("b", "c")

    asyncio.run(story())


def test_it_waits_when_nothing_can_be_taken() -> None:
    async def story() -> None:
        async with reading() as one:
            one.refuses = 2
            await one.publish("a")
            await one.until_taken("a")
            assert one.taken == ["a"]

    asyncio.run(story())


def test_a_bounded_number_of_places_is_kept_the_first_and_the_newest_among_them() -> None:
    async def story() -> None:
        async with reading() as one:
            for n in range(MARKS_KEPT + 20):
                await one.publish(str(n))
                await one.until_taken(str(n))
            notes = await one.store.reader.notes("place one", limit=MARKS_KEPT + 50)
            assert MARKS_KEPT // 2 < len(notes) <= MARKS_KEPT
            assert notes[0].number <= 2, "the beginning, or the first place behind it"
            assert notes[-1].number == MARKS_KEPT + 20

    asyncio.run(story())
