"""A link to a NATS server: one core connection after another, for ever, and requests whose outcome is always told.

Theory of operation. nats-py may reconnect by itself; we do not let it. It would send what was published in the meantime
long after its publisher was told that nobody knows, and stay silent about what it lost. Here a connection lives once.
When it breaks, everybody who waits on it is told at once, and a new one is made, with the next `generation`. Nothing
from one generation survives into the next: not a subscription, not a request, not a byte in a buffer.

Whether a connection still lives is found out by asking: a line that is only half open tells nobody.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from onstage.brokers.nats.framing import send
from onstage.brokers.nats.login import check_encryption, credentials, dispose, new_client, text_of
from onstage.errors import BrokerUnavailable, UsageError
from onstage.ports.broker import NobodyAnswers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from onstage.brokers.nats.address import Address
    from onstage.ports.clock import Clock

__all__ = [
    "CONNECT_S_MAX",
    "PAUSE_S_MAX",
    "PING_S",
    "REQUESTS_MAX",
    "REQUEST_S_MAX",
    "Link",
    "Reply",
    "status_of",
    "unavailable",
]

CONNECT_S_MAX: Final = 5.0
"""How long one attempt to connect may take."""
REQUEST_S_MAX: Final = 5.0
"""How long an answer is waited for; then the outcome of the request is unknown."""
REQUESTS_MAX: Final = 4_096
"""How many requests may wait for their answers at once; further ones wait for their turn."""
PAUSE_S_MAX: Final = 5.0
"""The longest pause between two attempts to connect."""
PING_S: Final = 5.0
"""How often a quiet connection is asked whether it lives, and how long it may take to say so."""

Headers = dict[str, str]
_PAUSE_S: Final = 0.05
_PENDING_BYTES: Final = 64 << 20
_STATUS: Final = "Status"
log = logging.getLogger("onstage.broker")


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: `status` is 0, or the code of a message that has nothing but a status."""

    data: bytes
    headers: Mapping[str, str]
    status: int


def unavailable(what: str, why: str) -> BrokerUnavailable:
    """The error of a broker that does not answer as it must, in three lines."""
    return BrokerUnavailable(
        f"{what}\n  why: {why}\n  to do: see that the broker runs and is reachable; what is accepted waits for it"
    )


def status_of(message: Msg) -> int:
    """The status of a message, 0 if it is none but a message with content."""
    if message.data or message.headers is None:
        return 0
    status = message.headers.get(_STATUS, "")
    return int(status) if status.isdecimal() else 0


@final
class Link:
    """A connection that is always there or about to be.

    `on_up` prepares each connection, the first included; if it raises, the connection is made again. `on_again` is
    called when another than the first is ready, and each of `when_gone` with the reason when one is gone.
    """

    def __init__(
        self, address: Address, clock: Clock, on_up: Callable[[], Awaitable[None]], on_again: Callable[[], None]
    ) -> None:
        """Not yet connected."""
        self.address = address
        self.generation = 0
        self.trouble: str | None = None
        self.max_payload = 0
        self.version = (0, 0, 0)
        self.when_gone: set[Callable[[str], None]] = set()
        self.clock = clock
        self._on_up = on_up
        self._on_again = on_again
        self._client: Client | None = None
        self._gone = asyncio.Event()
        self._pending: dict[str, asyncio.Future[Reply]] = {}
        self._room = asyncio.Semaphore(REQUESTS_MAX)
        self._inbox = ""
        self._count = 0
        self._keeper: asyncio.Task[None] | None = None
        self._last_error = ""

    async def open(self) -> None:
        """Connect, unless that is done. Raises BrokerUnavailable if no server answers, UsageError for a refusal."""
        if self._keeper is not None:
            return
        try:
            await self._connect()
            await self._on_up()
        except BaseException:
            await self._drop("the connection was given up")
            raise
        self.trouble = None
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="onstage-nats-link")

    async def close(self) -> None:
        """Send what is in the buffers, and let go. Safe to call twice."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        if self._client is not None:
            with suppress(Exception):
                await self._client.rtt(1)
        await self._drop("the connection was closed")

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._client is not None and self._client.is_connected and not self._gone.is_set()

    # What is sent.

    async def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        """Hand a message to the connection. Raises BrokerUnavailable if there is none."""
        client = self._there()
        try:
            await send(client, subject, data, reply=reply, headers=headers)
        except UsageError:
            raise
        except Exception as error:
            raise unavailable("the connection to the broker is gone", text_of(error)) from error

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: Headers | None = None,
        timeout_s: float = REQUEST_S_MAX,
    ) -> Reply:
        """Ask, and wait for the answer.

        Raises BrokerUnavailable if it is not known whether the request arrived, NobodyAnswers if nobody was there.
        """
        async with self._room:
            future = await self.send(subject, data, headers=headers)
            try:
                return await self.answered(future, timeout_s)
            except TimeoutError:
                raise unavailable("the broker did not answer", f"nothing came for {timeout_s:g} s") from None

    async def send(self, subject: str, data: bytes, *, headers: Headers | None = None) -> asyncio.Future[Reply]:
        """Send a request; `answered` waits for its answer. Raises BrokerUnavailable."""
        self._count += 1
        token = str(self._count)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self._pending.pop(token, None))
        self._there()
        self._pending[token] = future
        try:
            await self.publish(subject, data, reply=f"{self._inbox}.{token}", headers=headers)
        except BaseException:
            future.cancel()
            raise
        return future

    async def answered(self, future: asyncio.Future[Reply], timeout_s: float) -> Reply:
        """The answer to what `send` has sent. Raises as `request` does, and TimeoutError."""
        async with asyncio.timeout(timeout_s):
            reply = await future
        if reply.status == 503:
            raise NobodyAnswers("nobody is there to answer")
        return reply

    async def subscribe(self, subject: str, take: Callable[[Msg], Awaitable[None]], *, queue: str = "") -> Subscription:
        """Receive a subject on this connection. Raises BrokerUnavailable."""
        client = self._there()
        try:
            return await client.subscribe(subject, queue=queue, cb=take, pending_bytes_limit=_PENDING_BYTES)
        except Exception as error:
            raise unavailable("the connection to the broker is gone", text_of(error)) from error

    async def heard(self) -> None:
        """Wait until the server has heard all that was said on this connection. Raises BrokerUnavailable."""
        client = self._there()
        try:
            await client.flush()
        except Exception as error:
            raise unavailable("the connection to the broker is gone", text_of(error)) from error

    def new_inbox(self) -> str:
        """A subject that nobody else has. Raises BrokerUnavailable."""
        return self._there().new_inbox()

    def cut(self, why: str) -> None:
        """Give up the present connection: make another."""
        self._last_error = why
        self._gone.set()

    def _there(self) -> Client:
        if self._client is None or not self.is_up:
            raise BrokerUnavailable(self.trouble or str(unavailable("the broker is away", "the connection broke")))
        return self._client

    # One connection after another.

    async def _keep(self) -> None:
        pause_s = 0.0
        while True:
            await self._watch()
            await self._drop(self._last_error or "the connection broke")
            await asyncio.sleep(pause_s * (0.5 + self.clock.chance() / 2))
            try:
                await self._connect()
                await self._on_up()
            except Exception as error:  # noqa: BLE001  whatever it is, the next attempt may do better
                self.cut(text_of(error))
                self.trouble = str(error) if "\n" in str(error) else self.trouble
                pause_s = min(PAUSE_S_MAX, max(_PAUSE_S, 2 * pause_s))
            else:
                self.trouble, pause_s = None, 0.0
                self._tell()

    def _tell(self) -> None:
        try:
            self._on_again()
        except Exception:
            log.exception("what was to be done when the broker was there again failed")

    async def _watch(self) -> None:
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(PING_S):
                    await self._gone.wait()
            except TimeoutError:
                await self._ping()

    async def _ping(self) -> None:
        try:
            assert self._client is not None
            await self._client.rtt(PING_S)  # type: ignore[arg-type]  # seconds, whole or not
        except Exception as error:  # noqa: BLE001  whatever it is, the connection is not to be trusted
            self.cut(f"it does not answer: {text_of(error)}")

    async def _connect(self) -> None:
        errors: list[str] = []
        for server in self.address.servers:
            try:
                return await self._connect_to(server)
            except (UsageError, asyncio.CancelledError):
                raise
            except Exception as error:  # noqa: BLE001  each library layer has errors of its own
                errors.append(f"{server}: {self._last_error or text_of(error)}")
        raise unavailable(f"no NATS server answers at {self.address.shown}", "; ".join(errors))

    async def _connect_to(self, server: str) -> None:
        client = new_client()
        gone = asyncio.Event()
        self._last_error = ""

        async def lost() -> None:
            gone.set()

        async def failed(error: Exception) -> None:
            self._last_error = text_of(error)
            log.debug("nats: %s", self._last_error)

        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await client.connect(
                    server,
                    name=f"onstage {self.address.namespace}",
                    error_cb=failed,
                    closed_cb=lost,
                    allow_reconnect=False,
                    connect_timeout=CONNECT_S_MAX,  # type: ignore[arg-type]  # seconds, whole or not
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    ping_interval=86_400,  # we ask ourselves
                    skip_subject_validation=True,  # done once, where subjects are made
                    **credentials(self.address, client),
                )
            check_encryption(self.address, client)
            inbox = client.new_inbox()
            await client.subscribe(f"{inbox}.*", cb=self._on_reply)
        except BaseException:
            await dispose(client)
            raise
        version = client.connected_server_version
        self.version = (version.major, version.minor, version.patch)
        self.max_payload = client.max_payload
        self._client, self._gone, self._inbox = client, gone, inbox
        self.generation += 1

    async def _on_reply(self, message: Msg) -> None:
        future = self._pending.get(message.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(Reply(message.data, message.headers or {}, status_of(message)))

    async def _drop(self, why: str) -> None:
        client, self._client = self._client, None
        error = unavailable(f"the connection to {self.address.shown} is gone", why)
        self.trouble = self.trouble or str(error)
        for future in list(self._pending.values()):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever stopped waiting need not hear of it
        for tell in list(self.when_gone):
            tell(why)
        if client is not None:
            await dispose(client)
