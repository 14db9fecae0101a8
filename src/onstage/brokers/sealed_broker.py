"""A broker whose events are sealed: their payloads are encrypted on the way, and opened where they are read.

Only bodies of events, told by the CloudEvents type in the headers, are sealed; attributes, receipts and the registry
are not. A body is bound to the event's public id and type. A node that lacks the key stops reading there and tries
again, so nothing is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.ports.payload_codec import Seal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onstage.ports.broker import Broker, Cursor, Logged, Message
    from onstage.ports.payload_codec import PayloadCodec

__all__ = ["SealedBroker"]

SEAL_BYTES: Final = 512
"""How much larger a sealed payload is at most: the frame, the key's id, a nonce and a tag."""

_ID: Final = "ce-id"
_TYPE: Final = "ce-type"


@final
class SealedBroker:
    """Wraps a broker of any kind."""

    def __init__(self, broker: Broker, codec: PayloadCodec) -> None:
        """Seal with this codec."""
        self._broker = broker
        self._seal = Seal(codec)
        self.features = broker.features
        self.namespace = broker.namespace
        self.open = broker.open
        self.close = broker.close
        self.state = broker.state
        self.get = broker.get
        self.put = broker.put
        self.ask = broker.ask
        self.serve = broker.serve

    @property
    def on_connected(self) -> Callable[[], None]:
        """Who is told that the broker is there again."""
        return self._broker.on_connected

    @on_connected.setter
    def on_connected(self, told: Callable[[], None]) -> None:
        self._broker.on_connected = told

    @property
    def trouble(self) -> str | None:
        """What keeps the broker from working."""
        return self._broker.trouble

    @property
    def payload_bytes_max(self) -> int | None:
        """How large a message may be, less what sealing adds."""
        most = self._broker.payload_bytes_max
        return None if most is None else most - SEAL_BYTES

    async def publish(self, messages: Sequence[Message]) -> list[int]:
        """Publish with the payloads of events sealed."""
        return await self._broker.publish([self._sealed(message) for message in messages])

    async def message(self, seq: int) -> Logged | None:
        """The message at `seq`, opened. Raises KeyMissing, SealBroken."""
        found = await self._broker.message(seq)
        return None if found is None else self._opened(found)

    async def cursor(self, name: str, subjects: Sequence[str], *, after: int) -> Cursor:
        """A cursor that opens what it reads. Its `next` raises KeyMissing, SealBroken."""
        return _SealedCursor(await self._broker.cursor(name, subjects, after=after), self._opened)

    def _sealed(self, message: Message) -> Message:
        place = _place(message.headers)
        if place is None:
            return message
        return msgspec.structs.replace(message, data=self._seal.close(message.data, *place))

    def _opened(self, message: Logged) -> Logged:
        place = _place(message.headers)
        if place is None:
            return message
        return msgspec.structs.replace(message, data=self._seal.open(message.data, *place))


def _place(headers: Mapping[str, str]) -> tuple[str, str, str] | None:
    known = {name.lower(): value for name, value in headers.items()}
    return ("message", known.get(_ID, ""), known[_TYPE]) if _TYPE in known else None


@final
class _SealedCursor:
    def __init__(self, cursor: Cursor, opened: Callable[[Logged], Logged]) -> None:
        self._cursor = cursor
        self._opened = opened
        self.ack = cursor.ack
        self.close = cursor.close

    async def next(self, *, limit: int = 500) -> Sequence[Logged]:
        """The next messages, opened."""
        return [self._opened(message) for message in await self._cursor.next(limit=limit)]
