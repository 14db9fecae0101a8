"""Bugs planted in the layer that speaks to NATS."""

from collections.abc import Sequence

import pytest

from onstage.brokers.nats.publishing import Publisher
from onstage.brokers.nats.pulling import NatsCursor
from onstage.ports.broker import Message

Patch = pytest.MonkeyPatch


def server_duplicate_believed(patch: Patch) -> None:
    """A server says "duplicate", and nobody looks what stands there."""

    async def store(self: Publisher, message: Message) -> tuple[int, bool]:
        answer = await self._ask(message, {"Nats-Msg-Id": message.id or "", **message.headers})
        return answer.seq, answer.duplicate

    patch.setattr(Publisher, "_store", store)


def refused_batch_given_up(patch: Patch) -> None:
    """A batch of other members than before, which the server refuses for one that it has, counts as stored."""
    plain = Publisher._store_whole

    async def store_whole(self: Publisher, batch: Sequence[Message]) -> int | None:
        last = await plain(self, batch)
        return len(batch) if last is None else last

    patch.setattr(Publisher, "_store_whole", store_whole)


def silence_borne(patch: Patch) -> None:
    """A cursor waits on although the server says nothing any more, as after a reconnect that lost its request."""
    plain = NatsCursor._lose

    def lose(self: NatsCursor, why: str) -> None:
        if "said nothing" in why:
            raise TimeoutError(why)  # it would wait for ever; so its test ends
        plain(self, why)

    patch.setattr(NatsCursor, "_lose", lose)
