"""The log in memory and a real NATS server, given the same story, answer the same: worlds are played on the former."""

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.contract.nats_maker import NatsMaker

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.brokers.nats.broker import NatsBroker
from onstage.errors import BrokerUnavailable, UsageError
from onstage.ports.broker import Cursor, CursorLost, Logged, Message
from onstage.testing.nats_server import NatsServer

SEEDS = range(12)
STEPS = 80
LIMIT_S = 60
TYPES = ("a", "b", "b.c")
KEYS = ("x", "y")
NAMES = ("c", "d")


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsMaker]:
    with NatsServer(Path(tmp_path_factory.mktemp("nats")) / "store") as server:
        maker = NatsMaker()
        maker.server = server
        yield maker


async def told(answer: Awaitable[Any]) -> Any:
    """What a call answers, or the kind of its error."""
    try:
        return await answer
    except (BrokerUnavailable, CursorLost, UsageError) as error:
        return type(error).__name__


class Story:
    """One sequence of operations on both, and what was seen.

    A story has lost messages or restarts: a restarted server does not remember the id of a message that is gone, and
    stores it once more though it was published again meanwhile, with another id for the server.
    """

    def __init__(self, seed: int, maker: NatsMaker) -> None:
        self.namespace = f"agree-{seed}"
        self.random = Random(seed)
        self.maker = maker
        self.log = EmbeddedLog(self.namespace)
        self.here = EmbeddedBroker(self.log)
        self.there: NatsBroker = maker.connect(self.namespace)
        self.cursors: dict[str, tuple[Cursor, Cursor]] = {}
        self.said: list[str] = []
        self.has_restarts = seed % 2 == 1

    async def same(self, what: str, here: Awaitable[Any], there: Awaitable[Any]) -> Any:
        """Both answer this."""
        self.said.append(what)
        answers = (await told(here), await told(there))
        assert answers[0] == answers[1], f"{what}: {answers}\n" + "\n".join(self.said)
        return answers[0]

    async def play(self) -> None:
        """Take so many steps, then look at everything."""
        await self.same("open", self.here.open(), self.there.open())
        steps = [self.publish] * 6 + [self.read] * 4 + [self.cursor] * 2 + [self.look, self.put, self.get, self.forget]
        for step in range(STEPS):
            await self.random.choice(steps if self.has_restarts else [*steps, self.drop])()
            if self.has_restarts and step % 30 == 29:
                await self.leave()
        await self.look()
        for seq in range(1, self.log.last + 1):
            await self.same(f"message {seq}", self.here.message(seq), self.there.message(seq))
        for name in self.cursors:
            await self.read(name)

    def message(self) -> Message:
        n = self.random.randrange(60)
        subject = f"evt.{self.namespace}.{n % 3}.{TYPES[n % 3]}"
        return Message(subject, b"%d" % n, {"ce-id": str(n)}, f"id-{n}" if n % 10 else None)

    async def publish(self) -> None:
        messages = [self.message() for _ in range(self.random.choice([0, 1, 2, 5, 20]))]
        if messages and self.random.random() < 0.05:
            messages.append(Message("evt.other.1.a", b""))
        numbers = [int(message.data or b"-1") for message in messages]
        await self.same(f"publish {numbers}", self.here.publish(messages), self.there.publish(messages))

    async def cursor(self) -> None:
        name, after = self.random.choice(NAMES), self.random.randrange(self.log.last + 3)
        start = f"evt.{self.namespace}"
        subjects = self.random.choice([[f"{start}.>"], [f"{start}.1.b", f"{start}.*.a"], [f"{start}.2.>"]])
        before = self.cursors.get(name)
        here = await self.here.cursor(name, subjects, after=after)
        self.cursors[name] = here, await self.there.cursor(name, subjects, after=after)
        self.said.append(f"cursor {name} {subjects} after {after}")
        if before:
            await self.same(f"the cursor before {name}", before[0].next(), before[1].next())

    async def read(self, name: str | None = None) -> None:
        """All that the log in memory has for the cursor."""
        name = name or self.random.choice(NAMES)
        if name not in self.cursors:
            return
        here, there = self.cursors[name]
        number = 0
        while found := await waiting(here):
            if isinstance(found, str):
                await self.same(f"read {name}", here.next(), there.next())
                return
            await self.same(f"read {name} {len(found)}", answered(found), exactly(there, len(found)))
            number += len(found)
            if self.random.random() < 0.3:
                await here.ack(found[-1].seq)
                await there.ack(found[-1].seq)

    async def look(self) -> None:
        here, there = await self.here.state(), await self.there.state()
        assert (here.first, here.last) == (there.first, there.last), "\n".join(self.said)

    async def put(self) -> None:
        key, revision = self.random.choice(KEYS), self.random.choice([0, 0, 1, 2, 3, 4, 5, 6])
        if self.random.random() < 0.5 and (value := await self.here.get(key)):
            revision = value.revision
        data = b"%d" % len(self.said)
        await self.same(
            f"put {key} {revision}",
            self.here.put(key, data, revision=revision),
            self.there.put(key, data, revision=revision),
        )

    async def get(self) -> None:
        key = self.random.choice([*KEYS, "none", "*"])
        await self.same(f"get {key}", self.here.get(key), self.there.get(key))

    async def drop(self) -> None:
        seq = self.random.randrange(1, self.log.last + 2)
        if self.log.at(seq) is not None:
            self.said.append(f"drop {seq}")
            self.log.drop(seq)
            await self.maker.drop(self.namespace, seq)

    async def forget(self) -> None:
        name = self.random.choice(NAMES)
        if cursors := self.cursors.pop(name, None):
            reading = asyncio.ensure_future(lost(cursors[1]))
            self.log.forget(name)
            await self.maker.forget(self.namespace, name)
            await self.same(f"forget {name}", cursors[0].next(), reading)

    async def leave(self) -> None:
        """And come back."""
        self.said.append("leave")
        again = asyncio.Event()
        self.there.on_connected = again.set
        self.log.leave()
        self.maker.server.restart()
        await again.wait()
        self.log.come_back()
        for name, (here, there) in self.cursors.items():
            await self.same(f"{name} after leaving", here.next(), there.next())
        self.cursors.clear()


async def waiting(cursor: Cursor) -> Any:
    """What a cursor of the log in memory has now: nothing, messages, or the kind of its error."""
    reading = asyncio.ensure_future(told(cursor.next()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if reading.done():
        return reading.result()
    reading.cancel()
    return None


async def exactly(cursor: Cursor, number: int) -> list[Logged]:
    """The next so many messages."""
    found: list[Logged] = []
    while len(found) < number:
        found += await cursor.next(limit=number - len(found))
    return found


async def lost(cursor: Cursor) -> None:
    """Read until the cursor says that it is lost."""
    while True:
        await cursor.next()


async def answered(value: Any) -> Any:
    return value


@pytest.mark.parametrize("seed", SEEDS)
def test_both_answer_the_same(seed: int, maker: NatsMaker) -> None:
    print(f"seed {seed}")  # noqa: T201  what to give to Story to see it again

    async def scene() -> None:
        story = Story(seed, maker)
        async with asyncio.timeout(LIMIT_S):
            await story.play()
            await story.here.close()
            await story.there.close()
        assert len(story.said) > STEPS

    asyncio.run(scene())
