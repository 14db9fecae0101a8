"""A node's line to the broker: slow, cut now and then, and with a fate for each publish."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, final

from onstage.brokers.embedded import EmbeddedBroker, Fate
from onstage.errors import BrokerUnavailable
from onstage.testing.tour.mishap import Mishap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from onstage.brokers.embedded import EmbeddedLog
    from onstage.ports.broker import Cursor, Logged, LogState, Message, Value
    from onstage.testing.world.swarm import Swarm

__all__ = ["Fates", "Line"]

DELAYS_S: Final = (0.0, 0.001, 0.02, 0.3, 3.0)
_CUT: Final = "the line was cut\n  why: the simulated world cut it\n  to do: try again"


@final
class Fates:
    """Draws what publishes come to."""

    def __init__(self, swarm: Swarm) -> None:
        """From the faults of this world."""
        self._swarm = swarm

    def on_publish(self, messages: Sequence[Message]) -> Fate:
        """The fate of these messages."""
        swarm, count = self._swarm, len(messages)
        delay_s = 0.0
        if swarm.strikes(Mishap.SLOW_BROKER):
            delay_s = DELAYS_S[swarm.amount(Mishap.SLOW_BROKER, len(DELAYS_S))]
        if swarm.strikes(Mishap.LOST_PUBLISH):
            kept = tuple(place for place in range(count) if swarm.amount(Mishap.LOST_PUBLISH, 3) == 0)
            return Fate(kept, answered=False, delay_s=delay_s)
        if swarm.strikes(Mishap.LOST_ACK):
            return Fate(None, answered=False, delay_s=delay_s)
        if swarm.strikes(Mishap.STORED_TWICE):
            twice = swarm.amount(Mishap.STORED_TWICE, count)
            return Fate(tuple(sorted([*range(count), twice])), delay_s=delay_s)
        if count > 1 and swarm.strikes(Mishap.SWAPPED):
            place = swarm.amount(Mishap.SWAPPED, count - 1)
            if messages[place].subject != messages[place + 1].subject:
                return Fate(Fate.swapped(messages, place).stored, delay_s=delay_s)
        return Fate(delay_s=delay_s)


@final
class Line:
    """An `EmbeddedBroker` at the end of a line with flaws."""

    def __init__(self, log: EmbeddedLog, swarm: Swarm) -> None:
        """One for each life of a node."""
        self._broker = EmbeddedBroker(log, faults=Fates(swarm))
        self._swarm = swarm
        self.features = self._broker.features
        self.namespace = self._broker.namespace
        self.on_connected: Callable[[], None] = lambda: None
        self._broker.on_connected = lambda: self.on_connected()

    @property
    def trouble(self) -> str | None:
        """Why the log is away."""
        return self._broker.trouble

    async def _pass(self) -> None:
        swarm = self._swarm
        if swarm.strikes(Mishap.SLOW_BROKER):
            await asyncio.sleep(DELAYS_S[swarm.amount(Mishap.SLOW_BROKER, len(DELAYS_S))])
        if swarm.strikes(Mishap.LINE_CUT):
            raise BrokerUnavailable(_CUT)

    @property
    def payload_bytes_max(self) -> int | None:
        """As the broker says."""
        return self._broker.payload_bytes_max

    async def open(self) -> None:
        """Connect."""
        await self._pass()
        await self._broker.open()

    async def close(self) -> None:
        """Let go."""
        await self._broker.close()

    def abandon(self) -> None:
        """Be gone at once."""
        self._broker.abandon()

    async def state(self) -> LogState:
        """What the log is."""
        await self._pass()
        return await self._broker.state()

    async def publish(self, messages: Sequence[Message]) -> list[int]:
        """Publish, as far as fate lets it."""
        return await self._broker.publish(messages)

    async def message(self, seq: int) -> Logged | None:
        """The message at `seq`."""
        await self._pass()
        return await self._broker.message(seq)

    async def cursor(self, name: str, subjects: Sequence[str], *, after: int) -> Cursor:
        """A cursor."""
        await self._pass()
        return await self._broker.cursor(name, subjects, after=after)

    async def get(self, key: str) -> Value | None:
        """A value of the registry."""
        await self._pass()
        return await self._broker.get(key)

    async def put(self, key: str, data: bytes, *, revision: int) -> int | None:
        """Set a value; the line may be cut before that, or after it."""
        await self._pass()
        answer = await self._broker.put(key, data, revision=revision)
        await self._pass()
        return answer

    async def ask(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask an observer."""
        await self._pass()
        return await self._broker.ask(subject, data, timeout_s=timeout_s)

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions."""
        await self._broker.serve(subject, answer)
