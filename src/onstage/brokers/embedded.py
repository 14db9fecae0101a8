"""A broker in memory: one log that several connections share, on virtual time or real, with its faults as data.

Theory of operation. `EmbeddedLog` is the broker; `EmbeddedBroker` a connection to it. Nothing here reads a clock, draws
a number or starts a thread, so a run on a virtual loop is repeated exactly. What a publish comes to is asked of
`faults.on_publish`, whose answer is a value, a `Fate`. What befalls the log itself is a method: `leave`, `come_back`,
`forget`, `truncate`, `drop`, `begin_anew`. The port promises order to a cursor, so whatever a broker delivers out of
order or again appears here as a lost cursor, whose successor reads again from where it is told to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, final

from onstage.errors import BrokerUnavailable, UsageError
from onstage.events.subject import check_in_log, check_key, check_namespace, matches
from onstage.ports.broker import CursorLost, Features, Logged, LogState, NobodyAnswers, Value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from onstage.ports.broker import Message

__all__ = ["KNOWN_IDS_MAX", "EmbeddedBroker", "EmbeddedLog", "Fate", "Faults"]

KNOWN_IDS_MAX: Final = 100_000
"""How many ids a log remembers; a message with an older one is stored again."""

_CLOSED: Final = "the connection to the broker is closed\n  why: it is not open, or the node stops\n  to do: open it"
_AWAY: Final = "the broker is away\n  why: the simulated world took it away\n  to do: wait, it comes back"
_UNKNOWN: Final = "the broker did not answer\n  why: a message or its answer was lost\n  to do: publish the same again"


@final
@dataclass(frozen=True, slots=True)
class Fate:
    """What a publish comes to: which messages are stored and in what order, and whether its caller hears of it.

    `stored` are places in the list that was published (None: all, in order); a place given twice is stored twice. The
    caller gets `BrokerUnavailable` unless everything was stored and `answered` is true. `delay_s` passes before.
    """

    stored: tuple[int, ...] | None = None
    answered: bool = True
    delay_s: float = 0.0

    @classmethod
    def lost(cls) -> Fate:
        """Nothing is stored."""
        return cls((), answered=False)

    @classmethod
    def unanswered(cls) -> Fate:
        """Everything is stored, and nobody hears of it."""
        return cls(answered=False)

    @classmethod
    def doubled(cls, messages: Sequence[Message], place: int) -> Fate:
        """One message is stored twice in a row, whatever its id."""
        return cls(tuple(sorted([*range(len(messages)), place])))

    @classmethod
    def swapped(cls, messages: Sequence[Message], place: int) -> Fate:
        """The messages at `place` and behind it change places. Raises UsageError if their subject is the same."""
        if messages[place].subject == messages[place + 1].subject:
            raise UsageError(f"no broker swaps two messages of {messages[place].subject}")
        order = list(range(len(messages)))
        order[place : place + 2] = (place + 1, place)
        return cls(tuple(order))


class Faults(Protocol):
    """Decides what publishes come to."""

    def on_publish(self, messages: Sequence[Message]) -> Fate:
        """The fate of these messages; asked once for each call of `publish`."""
        ...


@final
class _NoFaults:
    def on_publish(self, messages: Sequence[Message]) -> Fate:
        return Fate()


@final
class EmbeddedLog:
    """The log and registry of one namespace, which connections share. Keep it to one thread."""

    def __init__(self, namespace: str = "onstage", *, ids_max: int = KNOWN_IDS_MAX) -> None:
        """An empty log that remembers the last `ids_max` ids. Raises UsageError for a wrong namespace."""
        self.namespace = check_namespace(namespace)
        self.trouble: str | None = None
        self.acked: dict[str, int] = {}
        self.values: dict[str, Value] = {}
        self.servers: dict[str, deque[tuple[EmbeddedBroker, Callable[[bytes], Awaitable[bytes]]]]] = {}
        self._ids_max = ids_max
        self._revision = 0
        self._made = 0
        self._brokers: list[EmbeddedBroker] = []
        self._cursors: dict[str, _EmbeddedCursor] = {}
        self._dropped: set[int] = set()
        self.begin_anew()

    # What the world does to it.

    def leave(self, trouble: str = _AWAY) -> None:
        """Be away: every call raises BrokerUnavailable with this text, and all cursors are lost."""
        self.trouble = trouble
        self.forget_all("the broker was away")

    def come_back(self) -> None:
        """Be there again, and tell every connection."""
        self.trouble = None
        for broker in tuple(self._brokers):
            broker.on_connected()

    def forget(self, name: str) -> None:
        """Lose a cursor."""
        if cursor := self._cursors.pop(name, None):
            cursor.lose("the broker forgot the cursor")

    def forget_all(self, why: str = "the broker forgot the cursor") -> None:
        """Lose all cursors."""
        for name in tuple(self._cursors):
            self._cursors.pop(name).lose(why)

    def truncate(self, last: int) -> None:
        """Lose all messages behind `last`, as by a crash or an older copy of the disk; the identity stays."""
        del self._messages[last:]
        self._dropped = {seq for seq in self._dropped if seq <= last}
        self.forget_all("the broker lost its tail")

    def drop(self, seq: int) -> None:
        """Remove one message, as a limit or an operator does. Its id is still remembered."""
        self._messages[seq - 1] = None
        self._dropped.add(seq)

    def begin_anew(self) -> None:
        """Be empty, with another identity."""
        self._made += 1
        self.identity = f"{self.namespace}-{self._made}"
        self._messages: list[Logged | None] = []
        self._dropped.clear()
        self._known: dict[str, int] = {}
        self.forget_all("the log was made anew")

    # What connections do with it.

    @property
    def last(self) -> int:
        """The highest sequence number that was given."""
        return len(self._messages)

    def state(self) -> LogState:
        """What the log is now."""
        first = next((logged.seq for logged in self._messages if logged is not None), self.last + 1)
        return LogState(self.identity, first, self.last, sum(seq > first for seq in self._dropped))

    def at(self, seq: int) -> Logged | None:
        """The message at `seq`."""
        return self._messages[seq - 1] if 1 <= seq <= self.last else None

    def append(self, message: Message, *, is_new: bool = False) -> int:
        """Store a message, unless one with its id is remembered and still there; answers its number."""
        known = self._known.get(message.id or "")
        if known and not is_new and (there := self.at(known)) is not None and there.id == message.id:
            return known
        seq = self.last + 1
        self._messages.append(Logged(seq, message.subject, message.data, dict(message.headers), message.id))
        if message.id:
            self._known.pop(message.id, None)
            self._known[message.id] = seq
        if len(self._known) > self._ids_max:
            del self._known[next(iter(self._known))]
        for cursor in self._cursors.values():
            cursor.wake()
        return seq

    def begin_cursor(self, name: str, subjects: Sequence[str], after: int) -> _EmbeddedCursor:
        """A cursor that replaces the one of this name."""
        if earlier := self._cursors.pop(name, None):
            earlier.lose("another cursor took its name")
        self._cursors[name] = cursor = _EmbeddedCursor(self, name, subjects, after)
        return cursor

    def end_cursor(self, cursor: _EmbeddedCursor, why: str) -> None:
        """Forget a cursor, if it still has its name."""
        if self._cursors.get(cursor.name) is cursor:
            del self._cursors[cursor.name]
        cursor.lose(why)

    def put(self, key: str, data: bytes, revision: int) -> int | None:
        """Set a value if it has this revision."""
        if (self.values[key].revision if key in self.values else 0) != revision:
            return None
        self._revision += 1
        self.values[key] = Value(data, self._revision)
        return self._revision

    def join(self, broker: EmbeddedBroker) -> None:
        """A connection is there."""
        if broker not in self._brokers:
            self._brokers.append(broker)

    def part(self, broker: EmbeddedBroker) -> None:
        """A connection is gone, and with it what it serves."""
        if broker in self._brokers:
            self._brokers.remove(broker)
        for subject, servers in tuple(self.servers.items()):
            self.servers[subject] = deque(server for server in servers if server[0] is not broker)


@final
class _EmbeddedCursor:
    def __init__(self, log: EmbeddedLog, name: str, subjects: Sequence[str], after: int) -> None:
        self.name = name
        self._log = log
        self._plain = frozenset(subjects)
        self._patterns = tuple(subject for subject in subjects if "*" in subject or ">" in subject)
        self._place = after
        self._known: dict[str, bool] = {}
        self._lost: str | None = None
        self._news = asyncio.Event()

    def wake(self) -> None:
        with suppress(RuntimeError):  # it waits on the loop of a killed node
            self._news.set()

    def lose(self, why: str) -> None:
        self._lost = self._lost or why
        self.wake()

    async def next(self, *, limit: int = 500) -> Sequence[Logged]:
        while True:
            if self._lost is not None:
                raise CursorLost(self._lost)
            if found := self._found(limit):
                return found
            self._news.clear()
            await self._news.wait()

    def _found(self, limit: int) -> list[Logged]:
        found: list[Logged] = []
        while self._place < self._log.last and len(found) < limit:
            self._place += 1
            logged = self._log.at(self._place)
            if logged is not None and self._wants(logged.subject):
                found.append(logged)
        return found

    def _wants(self, subject: str) -> bool:
        known = self._known.get(subject)
        if known is None:
            wanted = subject in self._plain or any(matches(subject, pattern) for pattern in self._patterns)
            known = self._known[subject] = wanted
        return known

    async def ack(self, seq: int) -> None:
        if self._lost is None:
            self._log.acked[self.name] = max(seq, self._log.acked.get(self.name, 0))

    async def close(self) -> None:
        self._log.end_cursor(self, "the cursor was closed")


@final
class EmbeddedBroker:
    """A connection to an `EmbeddedLog`; what its publishes come to is decided by `faults`."""

    features: Features = Features(survives_restart=False, refuses_duplicates=True)

    def __init__(self, log: EmbeddedLog, *, faults: Faults | None = None) -> None:
        """Not yet open."""
        self.on_connected: Callable[[], None] = lambda: None
        self.namespace = log.namespace
        self._log = log
        self._faults: Faults = faults or _NoFaults()
        self._is_open = False
        self._begun: list[_EmbeddedCursor] = []

    @property
    def trouble(self) -> str | None:
        """Why the log is away, None if it is there."""
        return self._log.trouble

    @property
    def payload_bytes_max(self) -> int | None:
        """No limit."""
        return None

    async def open(self) -> None:
        """Connect. Raises BrokerUnavailable while the log is away."""
        if self._log.trouble is not None:
            raise BrokerUnavailable(self._log.trouble)
        self._log.join(self)
        self._is_open = True

    async def close(self) -> None:
        """Let go."""
        self.abandon()

    def abandon(self) -> None:
        """Be gone at once, as the connection of a killed process is."""
        self._is_open = False
        self._log.part(self)
        for cursor in self._begun:
            self._log.end_cursor(cursor, "the connection was closed")
        self._begun.clear()

    def _there(self) -> EmbeddedLog:
        if not self._is_open:
            raise BrokerUnavailable(_CLOSED)
        if self._log.trouble is not None:
            raise BrokerUnavailable(self._log.trouble)
        return self._log

    async def state(self) -> LogState:
        """What the log is now."""
        return self._there().state()

    async def publish(self, messages: Sequence[Message]) -> list[int]:
        """Append the messages, as far as their fate lets them."""
        for message in messages:
            check_in_log(self._log.namespace, message.subject)
        self._there()
        fate = self._faults.on_publish(messages)
        await asyncio.sleep(fate.delay_s)
        log = self._there()
        seqs: dict[int, int] = {}
        for place in range(len(messages)) if fate.stored is None else fate.stored:
            seq = log.append(messages[place], is_new=place in seqs)
            seqs.setdefault(place, seq)
        if not fate.answered or len(seqs) < len(messages):
            raise BrokerUnavailable(_UNKNOWN)
        return [seqs[place] for place in range(len(messages))]

    async def message(self, seq: int) -> Logged | None:
        """The message at `seq`."""
        return self._there().at(seq)

    async def cursor(self, name: str, subjects: Sequence[str], *, after: int) -> _EmbeddedCursor:
        """A cursor that replaces the one of this name. Raises UsageError for one without a subject."""
        if not subjects:
            raise UsageError("a cursor without a subject\n  why: it would read nothing\n  to do: name at least one")
        cursor = self._there().begin_cursor(name, subjects, after)
        self._begun = [*(begun for begun in self._begun if begun.name != name), cursor]
        return cursor

    async def get(self, key: str) -> Value | None:
        """A value of the registry."""
        return self._there().values.get(check_key(key))

    async def put(self, key: str, data: bytes, *, revision: int) -> int | None:
        """Set a value of the registry if it still has `revision`."""
        return self._there().put(check_key(key), data, revision)

    async def ask(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask one of those who serve the subject, each in its turn."""
        servers = self._there().servers.get(subject)
        if not servers:
            raise NobodyAnswers(f"nobody serves {subject}")
        servers.rotate(-1)
        _, answer = servers[-1]
        try:
            async with asyncio.timeout(timeout_s):
                return await answer(data)
        except Exception as error:
            raise NobodyAnswers(f"no answer on {subject}: {type(error).__name__}") from error

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions on a subject."""
        self._there().servers.setdefault(subject, deque()).append((self, answer))
