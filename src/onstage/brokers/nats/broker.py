"""NATS JetStream behind the broker port: one stream and one bucket per namespace, over a link that mends itself."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from onstage.brokers.nats.address import Address
from onstage.brokers.nats.bucket import Registry
from onstage.brokers.nats.link import Link
from onstage.brokers.nats.publishing import Publisher
from onstage.brokers.nats.pulling import IDLE_S, NatsCursor
from onstage.brokers.nats.stream import ensure_log, fetch, log_name, read_state
from onstage.errors import BrokerUnavailable
from onstage.ports.broker import Features, NobodyAnswers
from onstage.ports.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from onstage.ports.broker import Logged, LogState, Message, Value
    from onstage.ports.clock import Clock

__all__ = ["ANSWERS_MAX", "NatsBroker"]

ANSWERS_MAX: Final = 256
"""How many questions are answered at once; whoever asks more hears nothing in time."""

USUAL_PAYLOAD_BYTES: Final = 1 << 20
_GROUP: Final = "onstage"
log = logging.getLogger("onstage.broker")


@final
class NatsBroker:
    """A connection to the log of the namespace that the URL names."""

    features: Features = Features(survives_restart=True, refuses_duplicates=True)

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        """Not yet open. `idle_s` is how often the server has to say to a cursor that it is there, in seconds.

        Raises UsageError for a URL that is none; see `Address` for what it may hold. `environ` is the process's own.
        """
        address = Address.parse(url, os.environ if environ is None else environ)
        self.on_connected: Callable[[], None] = lambda: None
        self.namespace = self._namespace = address.namespace
        self._link = Link(address, clock or SystemClock(), self._prepare, self._tell)
        self._publisher = Publisher(self._link)
        self._registry = Registry(self._link)
        self._idle_s = idle_s
        self._served: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self._serving: list[Subscription] = []
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def trouble(self) -> str | None:
        """Why the broker is away, None if it is there."""
        return self._link.trouble

    @property
    def payload_bytes_max(self) -> int | None:
        """What the server says; before it has said anything, what servers take unless they are told otherwise."""
        return self._link.max_payload or USUAL_PAYLOAD_BYTES

    async def open(self) -> None:
        """Connect, and make or check the log and the registry."""
        await self._link.open()

    async def close(self) -> None:
        """Serve nothing more, send what is on its way, and let go."""
        self._served.clear()
        subscriptions, self._serving = self._serving, []
        for subscription in subscriptions:
            with suppress(Exception):  # its connection may be gone, and it with it
                await subscription.unsubscribe()
        for task in tuple(self._answering):
            task.cancel()
        await self._link.close()

    async def _prepare(self) -> None:
        await ensure_log(self._link)
        await self._registry.ensure()
        self._serving.clear()
        for subject, answer in self._served.items():
            await self._subscribe(subject, answer)

    def _tell(self) -> None:
        self.on_connected()  # whoever listens may have come after us

    async def state(self) -> LogState:
        """What the log is now."""
        return await read_state(self._link, self._namespace)

    async def publish(self, messages: Sequence[Message]) -> list[int]:
        """Append the messages, in atomic batches."""
        return await self._publisher.publish(messages)

    async def message(self, seq: int) -> Logged | None:
        """The message at `seq`, as the leader of the stream has it."""
        return await fetch(self._link, log_name(self._namespace), {"seq": seq}) if seq > 0 else None

    async def cursor(self, name: str, subjects: Sequence[str], *, after: int) -> NatsCursor:
        """A cursor with a durable consumer of this name, in place of an earlier one."""
        cursor = NatsCursor(self._link, name, after, idle_s=self._idle_s)
        await cursor.begin(subjects)
        return cursor

    async def get(self, key: str) -> Value | None:
        """A value of the bucket."""
        return await self._registry.get(key)

    async def put(self, key: str, data: bytes, *, revision: int) -> int | None:
        """Set a value of the bucket if it still has `revision`."""
        return await self._registry.put(key, data, revision)

    async def ask(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask by a request of core NATS."""
        future = await self._link.send(subject, data)
        try:
            return (await self._link.answered(future, timeout_s)).data
        except TimeoutError:
            raise NobodyAnswers(f"no answer on {subject} for {timeout_s:g} s") from None
        except NobodyAnswers:
            raise NobodyAnswers(f"nobody serves {subject}") from None

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions in a queue group, on this connection and each that follows it."""
        await self._subscribe(subject, answer)
        self._served[subject] = answer

    async def _subscribe(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        async def take(message: Msg) -> None:
            if len(self._answering) < ANSWERS_MAX:
                task = asyncio.get_running_loop().create_task(self._answer(message, answer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

        self._serving.append(await self._link.subscribe(subject, take, queue=_GROUP))
        await self._link.heard()  # whoever asks from now on, over whatever connection, finds somebody

    async def _answer(self, message: Msg, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        try:
            data = await answer(message.data)
        except Exception:
            log.exception("a question on %s was not answered", message.subject)
            return
        with suppress(BrokerUnavailable):  # whoever asked hears nothing in time
            await self._link.publish(message.reply, data)
