"""A link without a line: what would be sent is kept, and a test says what comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from onstage.brokers.nats.address import Address
from onstage.brokers.nats.link import Reply, unavailable
from onstage.testing.virtual_clock import VirtualClock

Answering = Callable[[str, bytes, Mapping[str, str]], object]


@dataclass
class Arrived:
    """As nats-py hands a message over."""

    subject: str = ""
    reply: str = ""
    data: bytes = b""
    headers: dict[str, str] | None = None


class Subscribed:
    async def unsubscribe(self) -> None:
        return None


class FakeLink:
    """`answering` gets a request (subject, data, headers) and answers an object, or raises."""

    def __init__(self, answering: Answering = lambda *_: {}, **options: Any) -> None:
        self.address = Address.parse("nats://localhost?namespace=shop")
        self.clock = VirtualClock(1, lambda: 0.0)
        self.max_payload = 1 << 20
        self.version = (2, 15, 1)
        self.when_gone: set[Callable[[str], None]] = set()
        self.sent: list[tuple[str, bytes, dict[str, str]]] = []
        self.cuts: list[str] = []
        self.take: Callable[[Any], Awaitable[None]]
        self.is_up = True
        self._answering = answering
        for name, value in options.items():
            setattr(self, name, value)

    async def publish(
        self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        if not self.is_up:
            raise unavailable("it is away", "the test says so")
        self.sent.append((subject, data, headers or {}))

    async def request(self, subject: str, data: bytes = b"", *, headers: dict[str, str] | None = None) -> Reply:
        await self.publish(subject, data, headers=headers)
        await asyncio.sleep(0)
        return Reply(msgspec.json.encode(self._answering(subject, data, headers or {})), {}, 0)

    async def subscribe(self, subject: str, take: Callable[[Any], Awaitable[None]]) -> Subscribed:
        self.take = take
        return Subscribed()

    def new_inbox(self) -> str:
        return "_INBOX.x"

    def cut(self, why: str) -> None:
        self.cuts.append(why)
