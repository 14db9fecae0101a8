"""What the broker contract's tests are written with: a namespace of their own, its connections, how to play a test."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar, final

from onstage.errors import BrokerUnavailable
from onstage.ports.broker import Message
from onstage.testing.store_trial import NotAsked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from onstage.ports.broker import Broker, Cursor, Logged

__all__ = ["TRIAL_S_MAX", "BrokerMaker", "BrokerTrial", "tried"]

M = TypeVar("M", bound="BrokerMaker")
TRIAL_S_MAX: Final = 60.0
"""How long one test of the contract may take."""

_namespaces = count(1)


class BrokerMaker:
    """What a subclass of the contract provides: connections, and what befalls the broker behind them."""

    def connect(self, namespace: str) -> Broker:
        """Make a connection to the log of a namespace, not yet opened. A namespace is used by one test only."""
        raise NotImplementedError

    async def leave(self, namespace: str) -> None:
        """Take the broker away, as by a crash; it keeps what it has."""
        raise NotImplementedError

    async def come_back(self, namespace: str) -> None:
        """Bring it back."""
        raise NotImplementedError

    async def forget(self, namespace: str, cursor: str) -> None:
        """Let the broker forget a cursor."""
        raise NotImplementedError

    async def drop(self, namespace: str, seq: int) -> None:
        """Remove a message from the log; the broker goes on remembering its id."""
        raise NotImplementedError


@final
class BrokerTrial:
    """An open broker under trial, and what its tests do again and again."""

    def __init__(self, maker: BrokerMaker) -> None:
        """In a namespace of its own; `play` opens the first connection."""
        self.namespace = f"trial-{next(_namespaces)}"
        self.broker: Broker
        self._maker = maker
        self._open: list[Broker] = []

    async def another(self) -> Broker:
        """One more connection to the same log."""
        broker = self._maker.connect(self.namespace)
        self._open.append(broker)
        await broker.open()
        return broker

    async def close(self) -> None:
        """Close all connections."""
        for broker in self._open:
            await broker.close()

    def message(self, n: int, *, type_: str = "placed", id: str | None = None, partition: int | None = None) -> Message:
        """The n-th message of a test; without an id given it has one of its own."""
        place = n % 4 if partition is None else partition
        subject = f"evt.{self.namespace}.{place}.{type_}"
        return Message(subject, b"%d" % n, {"ce-id": f"e-{n}"}, f"id-{n}" if id is None else id or None)

    def messages(self, numbers: Iterable[int]) -> list[Message]:
        """These messages of a test."""
        return [self.message(n) for n in numbers]

    @property
    def everything(self) -> list[str]:
        """The subjects of a cursor that reads all events."""
        return [f"evt.{self.namespace}.>"]

    async def log(self, *, after: int = 0) -> list[Logged]:
        """All that is in the log behind a place, message by message."""
        state = await self.broker.state()
        found = [await self.broker.message(seq) for seq in range(after + 1, state.last + 1)]
        return [logged for logged in found if logged is not None]

    async def away(self) -> None:
        """The broker leaves, and is seen to be gone."""
        await self._maker.leave(self.namespace)
        while self.broker.trouble is None:  # noqa: ASYNC110  the port says it, and tells nobody
            await asyncio.sleep(0.01)

    async def back(self, broker: Broker | None = None) -> None:
        """The broker comes back, and its connection says so."""
        connected = asyncio.Event()
        (broker or self.broker).on_connected = connected.set
        await self._maker.come_back(self.namespace)
        await connected.wait()

    async def forget(self, cursor: str) -> None:
        """The broker forgets a cursor."""
        await self._maker.forget(self.namespace, cursor)

    async def drop(self, seq: int) -> None:
        """The log loses a message."""
        await self._maker.drop(self.namespace, seq)


async def read(cursor: Cursor, number: int) -> list[Logged]:
    """The next so many messages."""
    found: list[Logged] = []
    while len(found) < number:
        found += await cursor.next(limit=number - len(found))
    return found


async def is_away(attempt: Awaitable[object]) -> bool:
    """Whether a call says that the broker is not there, in three lines."""
    try:
        await attempt
    except BrokerUnavailable as error:
        return str(error).count("\n") == 2  # what, why, what to do
    return False


def tried(test: Callable[[M, BrokerTrial], Awaitable[None]]) -> Callable[[M], None]:
    """Make a plain test of an asynchronous one: it gets an open broker, which is closed at the end."""

    def play(self: M) -> None:
        asyncio.run(_play(self, test))

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(play, name, getattr(test, name))
    return play


async def _play(maker: M, test: Callable[[M, BrokerTrial], Awaitable[None]]) -> None:
    trial = BrokerTrial(maker)
    try:
        async with asyncio.timeout(TRIAL_S_MAX):
            trial.broker = await trial.another()
            try:
                await test(maker, trial)
            except NotAsked:
                return
    finally:
        await trial.close()
