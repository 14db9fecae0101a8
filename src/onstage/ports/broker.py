"""The broker: one ordered log that services share, cursors into it, and a small registry of values beside it.

`Broker` asks of a broker only what every good one can do. The truth stays in each service's own store: what the log
lost is published again from there, and a cursor is begun anew from the place that the store remembers. So neither an
acknowledgement nor a cursor of the broker is trusted further than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Broker", "Cursor", "CursorLost", "Features", "LogState", "Logged", "Message", "NobodyAnswers", "Value"]


class Features(msgspec.Struct, frozen=True):
    """What a broker can do; the contract's tests ask for exactly this much."""

    survives_restart: bool
    refuses_duplicates: bool


class Message(msgspec.Struct, frozen=True):
    """What is to be published. With an `id` the broker may recognise it for a while if it comes again."""

    subject: str
    data: bytes
    headers: dict[str, str] = {}
    id: str | None = None


class Logged(msgspec.Struct, frozen=True):
    """A message as it stands in the log, at the sequence number `seq`; `id` is the one it was published under."""

    seq: int
    subject: str
    data: bytes
    headers: dict[str, str] = {}
    id: str | None = None


class LogState(msgspec.Struct, frozen=True):
    """What the log is at this moment. `identity` changes when it was made anew; an empty log has `last` < `first`.

    `holes` is how many messages between `first` and `last` are gone, by whatever cause.
    """

    identity: str
    first: int
    last: int
    holes: int = 0


class Value(msgspec.Struct, frozen=True):
    """A value of the registry and the revision that whoever wants to replace it must name."""

    data: bytes
    revision: int


class CursorLost(Exception):
    """A cursor can no longer promise that nothing is missing: begin a new one. Its text says why."""


class NobodyAnswers(Exception):
    """No one serves the subject that was asked, or not in time."""


class Cursor(Protocol):
    """Reads some subjects of the log in its order, each message once as long as the cursor lives."""

    async def next(self, *, limit: int = 500) -> Sequence[Logged]:
        """Wait for messages; answers 1 to `limit` of them, in the order of the log, with none left out in between.

        Raises CursorLost when the broker forgot the cursor, was away, or something did not arrive. One caller at a
        time; it may be cancelled, and then nothing that was not answered is lost.
        """
        ...

    async def ack(self, seq: int) -> None:
        """Tell the broker that everything up to `seq` is safe. A courtesy that never fails: nothing depends on it."""
        ...

    async def close(self) -> None:
        """Stop reading. Safe to call twice."""
        ...


class Broker(Protocol):
    """A connection to the log of one namespace. It mends itself for ever; use it on one loop."""

    features: Features
    namespace: str
    on_connected: Callable[[], None]

    @property
    def trouble(self) -> str | None:
        """What keeps the broker from working at present: what, why, what to do. None if all is well."""
        ...

    @property
    def payload_bytes_max(self) -> int | None:
        """How large a message may be at most, headers included; None if there is no limit, or it is not known yet."""
        ...

    async def open(self) -> None:
        """Connect, and make or check the log.

        Raises BrokerUnavailable if nobody answers, and UsageError for a broker that cannot keep the promises. Once it
        is open it connects again by itself; `on_connected` is called each time after that.
        """
        ...

    async def close(self) -> None:
        """Let go. Safe to call twice."""
        ...

    # The log.

    async def state(self) -> LogState:
        """What the log is now. Raises BrokerUnavailable."""
        ...

    async def publish(self, messages: Sequence[Message]) -> list[int]:
        """Append messages in their order; answers the sequence number of each, once the log has them all.

        Each number was seen to hold that very message: an answer "duplicate" alone is not believed. Raises
        BrokerUnavailable if the outcome of any is not known: then any of them may be there, and publishing the same
        messages again is right. With ids they do not appear twice as long as the broker remembers them. Raises
        UsageError for a message that the log can never take, such as one that is too large, and then stores none.
        """
        ...

    async def message(self, seq: int) -> Logged | None:
        """The message at `seq`, None if the log has none there. Raises BrokerUnavailable."""
        ...

    async def cursor(self, name: str, subjects: Sequence[str], *, after: int) -> Cursor:
        """A cursor on `subjects` (a token `*` or a tail `>` matches any) over all that is later than `after`.

        It replaces an earlier one of this name, wherever that stands. Raises BrokerUnavailable, and UsageError if it
        has no subject.
        """
        ...

    # The registry.

    async def get(self, key: str) -> Value | None:
        """A value of the registry. Raises BrokerUnavailable."""
        ...

    async def put(self, key: str, data: bytes, *, revision: int) -> int | None:
        """Set a value if it still has `revision` (0: if there is none); answers the new one, None if it has another.

        Raises BrokerUnavailable if that is not known.
        """
        ...

    # Questions that need no log.

    async def ask(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask whoever serves `subject`. Raises NobodyAnswers or BrokerUnavailable."""
        ...

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions on `subject` until `close`; of several servers one gets each question."""
        ...
