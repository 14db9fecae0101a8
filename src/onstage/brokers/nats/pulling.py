"""Reading: a cursor over a durable consumer that is never trusted further than its numbers reach.

Theory of operation. A cursor makes its consumer anew, beginning behind the place that the reader remembers, and pulls:
it asks for messages ahead, several requests at a time, each with an expiry and a heartbeat. The server counts what it
delivers, and the count stands in the subject by which a message is acknowledged. As long as it grows by one, nothing is
missing between two messages; a heartbeat that knows of more than has arrived shows that the last ones are. A gap, a
connection that broke, silence for twice the time of a heartbeat, a consumer that is gone or was replaced: each ends the
cursor with `CursorLost`. Nothing is mended here, since only the reader's own store knows its place.

A request names a group that only the consumer of this very cursor has. So a cursor that was replaced takes nothing from
its successor, whose consumer has the same name: the server refuses what it asks for.

What the server delivers again, because nobody acknowledged it, was answered already and is passed over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.brokers.nats.link import status_of, unavailable
from onstage.brokers.nats.stream import api, log_name, logged
from onstage.errors import BrokerUnavailable, UsageError
from onstage.events.subject import widest
from onstage.ports.broker import CursorLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from onstage.brokers.nats.link import Link
    from onstage.ports.broker import Logged

__all__ = [
    "ACKS_KEPT_MAX",
    "ACK_WAIT_S",
    "IDLE_S",
    "PULL_BYTES_MAX",
    "PULL_MESSAGES_MAX",
    "PULL_S",
    "AckPlace",
    "NatsCursor",
    "ack_place",
]

PULL_MESSAGES_MAX: Final = 500
"""How many messages one request asks for; two of them are under way."""
PULL_BYTES_MAX: Final = 8 << 20
"""How many bytes one request asks for."""
PULL_S: Final = 30.0
"""When a request of which messages are left expires; then another follows."""
IDLE_S: Final = 2.0
"""How often the server has to say that it is there while there is no message. Twice this time is silence."""
ACK_WAIT_S: Final = 86_400.0
"""When the server delivers again what was not acknowledged; it is passed over."""
ACKS_KEPT_MAX: Final = 10_000
"""How many messages behind the last acknowledgement a cursor can still acknowledge one by one."""

_NO_CONSUMER: Final = 10014
_ENDED: Final = ("Request Timeout", "Batch Completed", "Message Size Exceeds MaxBytes")
_HEARTBEAT: Final = 100
_V1_TOKENS: Final = 9


class AckPlace(NamedTuple):
    """What the subject says by which a message is acknowledged; `nth` is which delivery of the consumer this is."""

    delivered: int
    seq: int
    nth: int


def ack_place(subject: str) -> AckPlace:
    """Read `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<count>.<time>.<pending>`.

    The newer form has a domain and the hash of an account before the stream, and something random at its end.
    Raises ValueError if it is of neither form.
    """
    tokens = subject.split(".")
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < _V1_TOKENS or len(tokens) == _V1_TOKENS + 1:
        raise ValueError(f"{subject[:200]!r} acknowledges no message")
    start = 4 if len(tokens) == _V1_TOKENS else 6
    delivered, seq, nth = map(int, tokens[start : start + 3])
    return AckPlace(delivered, seq, nth)


@final
class NatsCursor:
    """Reads the log of the link's namespace; made by `NatsCursor.begin`."""

    def __init__(self, link: Link, name: str, after: int, *, idle_s: float = IDLE_S) -> None:
        """Not yet begun. `idle_s` is the time between two heartbeats, in seconds."""
        self._link = link
        self._name = name
        self._stream = log_name(link.address.namespace)
        self._idle_s = idle_s
        self._seen = after
        self._count = 0
        self._group = link.clock.token(6).hex()
        self._asked = 0
        self._pulls = 0
        self._heard_s = 0.0
        self._lost: str | None = None
        self._news = asyncio.Event()
        self._arrived: deque[tuple[Logged, str]] = deque()
        self._acks: deque[tuple[int, str]] = deque(maxlen=ACKS_KEPT_MAX)
        self._inbox = ""
        self._subscription: Subscription | None = None

    async def begin(self, subjects: Sequence[str]) -> None:
        """Make the consumer, in place of the one of this name, and check it. Raises BrokerUnavailable."""
        if not subjects:
            raise UsageError("a cursor without a subject\n  why: it would read nothing\n  to do: name at least one")
        await api(self._link, f"CONSUMER.DELETE.{self._stream}.{self._name}", expected=(_NO_CONSUMER,))
        asked = {
            "name": self._name,
            "durable_name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._seen + 1,
            "ack_policy": "all",
            "ack_wait": round(ACK_WAIT_S * 1e9),
            "max_deliver": -1,
            "max_ack_pending": -1,
            "filter_subjects": sorted(widest(subjects)),
            "priority_policy": "overflow",
            "priority_groups": [self._group],
        }
        body = {"stream_name": self._stream, "config": asked, "action": "create"}
        await api(self._link, f"CONSUMER.CREATE.{self._stream}.{self._name}", body)
        made = await api(self._link, f"CONSUMER.INFO.{self._stream}.{self._name}")
        found = made.config | {"filter_subjects": sorted(made.config.get("filter_subjects", ()))}
        wrong = [option for option, value in asked.items() if found.get(option) != value]
        if wrong:
            raise unavailable(f"the broker made another reader than {self._name}", f"it differs in {', '.join(wrong)}")
        self._inbox = self._link.new_inbox()
        self._subscription = await self._link.subscribe(f"{self._inbox}.*", self._take)
        self._link.when_gone.add(self._lose)

    async def next(self, *, limit: int = 500) -> Sequence[Logged]:
        """Wait for messages, as the port says."""
        while True:
            await self._pull()
            self._check()
            if self._arrived:
                return [self._answered() for _ in range(min(limit, len(self._arrived)))]
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._heard_s + 2 * self._idle_s):
                    await self._news.wait()
            if asyncio.get_running_loop().time() >= self._heard_s + 2 * self._idle_s and not self._arrived:
                self._lose(f"the broker said nothing for {2 * self._idle_s:g} s")

    async def ack(self, seq: int) -> None:
        """Acknowledge everything up to `seq`. Never fails."""
        reply = ""
        while self._acks and self._acks[0][0] <= seq:
            _, reply = self._acks.popleft()
        if reply and self._lost is None:
            with suppress(BrokerUnavailable):
                await self._link.publish(reply, b"+ACK")

    async def close(self) -> None:
        """Stop reading; the consumer stays, for whoever looks at the broker."""
        self._lose("the cursor was closed")
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(Exception):  # its connection may be gone, and it with it
                await subscription.unsubscribe()

    def _answered(self) -> Logged:
        message, reply = self._arrived.popleft()
        self._acks.append((message.seq, reply))
        return message

    def _check(self) -> None:
        if self._lost is not None:
            raise CursorLost(self._lost)

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._link.when_gone.discard(self._lose)
        self._news.set()

    async def _pull(self) -> None:
        """Ask for more if fewer than one request's messages are asked for or here."""
        self._check()
        if self._asked + len(self._arrived) > PULL_MESSAGES_MAX:
            return
        if not self._asked:
            self._heard_s = asyncio.get_running_loop().time()  # silence before nobody asked for anything
        body = {
            "group": self._group,
            "batch": PULL_MESSAGES_MAX,
            "max_bytes": max(PULL_BYTES_MAX, 2 * self._link.max_payload),
            "expires": round(PULL_S * 1e9),
            "idle_heartbeat": round(self._idle_s * 1e9),
        }
        self._asked += PULL_MESSAGES_MAX
        self._pulls += 1
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        try:
            await self._link.publish(subject, msgspec.json.encode(body), reply=f"{self._inbox}.{self._pulls}")
        except BrokerUnavailable as error:
            self._lose(str(error))

    async def _take(self, message: Msg) -> None:
        """A message arrived on the connection."""
        self._heard_s = asyncio.get_running_loop().time()
        self._news.set()
        status = status_of(message)
        if status:
            return self._take_status(status, message.headers or {})
        try:
            place = ack_place(message.reply)
        except ValueError as error:
            return self._lose(str(error))
        if place.nth != self._count + 1:
            return self._lose(f"delivery {self._count + 1} did not arrive, {place.nth} did")
        self._count = place.nth
        self._asked -= 1
        if place.seq > self._seen:
            self._seen = place.seq
            self._arrived.append(
                (logged(place.seq, message.subject, message.data, message.headers or {}), message.reply)
            )

    def _take_status(self, status: int, headers: dict[str, str]) -> None:
        said = headers.get("Description", "").strip()
        if status == _HEARTBEAT:
            if headers.get("Nats-Last-Consumer") != str(self._count):
                self._lose(f"delivery {headers.get('Nats-Last-Consumer')} was the last, {self._count} arrived")
        elif said in _ENDED and headers.get("Nats-Pending-Messages", "").isdecimal():
            self._asked -= int(headers["Nats-Pending-Messages"])
        else:
            self._lose(f"the broker ended it: {said or 'nobody is there'} ({status})")
