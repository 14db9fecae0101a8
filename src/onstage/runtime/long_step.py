"""Long steps: what an attempt may say while it runs, and under which token somebody else may complete it.

Theory of operation. A heartbeat moves the end of the attempt's `heartbeat_timeout`; what it says is kept as a note, at
most once in `HEARTBEAT_PACE_S`, and with the entry of an attempt that failed, so that the next attempt finds it. The
secret of a token is an entry that is durable before the function runs: a token that has left the node is known to it
ever after, and the same in every attempt.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager
from contextvars import ContextVar
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, TypeVar, final, overload

import msgspec

from onstage.core.commit import Note, Notes, handler_of
from onstage.core.journal import TokenDrawn
from onstage.errors import NotInExecution, UsageError
from onstage.events.codec import NoCodec, codec_for, encode_any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from onstage.runtime.frame import Frame
    from onstage.runtime.step import Step

__all__ = [
    "ATTEMPT",
    "HEARTBEATS",
    "HEARTBEAT_BYTES_MAX",
    "HEARTBEAT_PACE_S",
    "Attempt",
    "Beat",
    "Token",
    "attempt_of",
    "beating",
    "completion_token",
    "forget_heartbeat",
    "hand_over_until",
    "heartbeat",
    "last_heartbeat",
    "number_of",
]

T = TypeVar("T")
HEARTBEAT_PACE_S: Final = 1.0
HEARTBEAT_BYTES_MAX: Final = 65_536
_SECRET_BYTES: Final = 16
HEARTBEATS: Final = "heartbeat"
"""The topic under which the last heartbeats are kept."""


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """The last heartbeat of a step: whose, in which attempt, when (ms since the epoch), and what it said (JSON)."""

    execution: int
    position: str
    attempt: int
    at: int
    details: bytes


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What a token names: the event and the handler, the step's position, the attempt; and the secret."""

    event: str
    handler: int
    position: str
    attempt: int
    secret: bytes

    def text(self) -> str:
        """The token as it is given away: letters, digits, - and _."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")


def number_of(execution: int, position: str) -> int:
    """The number under which notes about one step of one execution are kept."""
    return int.from_bytes(blake2b(f"{execution}/{position}".encode(), digest_size=7).digest(), "big")


@final
class Attempt:
    """One attempt of a long step, as its function sees it through `heartbeat` and `completion_token`."""

    def __init__(
        self,
        step: Step[..., Any],
        frame: Frame,
        position: str,
        number: int,
        earlier: bytes | None,
        secret: bytes | None,
    ) -> None:
        """`earlier` is what the last heartbeat said, `secret` that of the step's tokens."""
        self.step = step
        self.earlier = earlier
        self._frame = frame
        self._position = position
        self._number = number
        self._secret = secret
        self._loop = asyncio.get_running_loop()
        self._scope: asyncio.Timeout | None = None
        self._unsaved: bytes | None = None
        self._saved_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def token(self) -> str:
        """The token of this attempt."""
        if self._secret is None:
            raise UsageError(
                f"step {self.step.name} has no completion token ({self.step.where})\n"
                "  why: it has no completion_timeout=\n"
                '  to do: write @step(completion_timeout="2d"), so that it is known how long to wait'
            )
        delivery = self._frame.delivery
        event = self._frame.driver.node.numbers.identity.wire(delivery.n)
        return Token(event, handler_of(delivery.id), self._position, self._number, self._secret).text()

    @property
    def is_over(self) -> bool:
        """Whether its heartbeats have stopped for too long. True for a thread that nobody could stop."""
        return self._scope is not None and self._scope.expired()

    def say(self, details: bytes) -> None:
        """A heartbeat, from the loop or from a thread of a synchronous step."""
        try:
            on_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            on_loop = False
        if on_loop:
            self._heard(details)
        else:
            self._loop.call_soon_threadsafe(self._heard, details)

    def _heard(self, details: bytes) -> None:
        limit_s = self.step.heartbeat_timeout_s
        if self._scope is None or limit_s is None or self._scope.expired():
            return
        now = self._loop.time()
        self._scope.reschedule(now + limit_s)
        self._unsaved = self.earlier = details
        if self._timer is not None:
            return
        if self._saved_at is None or now - self._saved_at >= HEARTBEAT_PACE_S:
            self._save()
        else:
            self._timer = self._loop.call_at(self._saved_at + HEARTBEAT_PACE_S, self._save)

    def _save(self) -> None:
        self._timer = None
        note = self._note()
        if note is None:
            return
        self._saved_at = self._loop.time()
        self._frame.driver.node.append_notes(Notes((note,)))

    def _note(self) -> Note | None:
        details, self._unsaved = self._unsaved, None
        if details is None:
            return None
        node, execution = self._frame.driver.node, self._frame.delivery.id
        beat = Beat(execution, self._position, self._number, node.clock.now_ms(), details)
        return Note(HEARTBEATS, number_of(execution, self._position), msgspec.msgpack.encode(beat))

    @asynccontextmanager
    async def beats(self) -> AsyncIterator[None]:
        """For as long as the function runs: it is cancelled when its heartbeats stop; a thread is waited for."""
        limit_s = self.step.heartbeat_timeout_s
        try:
            async with asyncio.timeout(limit_s) as self._scope:
                yield
        except TimeoutError as error:
            if self._scope is not None and self._scope.expired():
                raise TimeoutError(f"no heartbeat for {limit_s:g} s") from error
            raise

    def end(self) -> None:
        """It has ended: what it said last goes along with the entry of what it came to."""
        if self._timer is not None:
            self._timer.cancel()
        note = self._note()
        if note is not None:
            self._frame.takes_along().kept.append(note)


ATTEMPT: Final[ContextVar[Attempt | None]] = ContextVar("onstage_attempt", default=None)


async def attempt_of(step: Step[..., Any], frame: Frame, position: str, number: int) -> Attempt:
    """The attempt that begins now; the secret of its token is told, and durable behind the next barrier."""
    earlier = secret = None
    node = frame.driver.node
    if step.completion_timeout_s is not None:
        place = f"token/{position}"
        drawn = frame.execution.at(place)
        if not isinstance(drawn, TokenDrawn):
            drawn = TokenDrawn(place, node.clock.token(_SECRET_BYTES))
            frame.execution.tell(drawn)
        secret = drawn.secret
    if step.heartbeat_timeout_s is not None:
        at = number_of(frame.delivery.id, position)
        found = await node.store.reader.notes(HEARTBEATS, after=at - 1, limit=1)
        beat = None if not found or found[0].number != at else msgspec.msgpack.decode(found[0].body, type=Beat)
        if beat is not None and (beat.execution, beat.position) == (frame.delivery.id, position):
            earlier = beat.details
    return Attempt(step, frame, position, number, earlier, secret)


@asynccontextmanager
async def beating(step: Step[..., Any]) -> AsyncIterator[None]:
    """Ends the attempt that runs here when its heartbeats stop, if its step has a `heartbeat_timeout`."""
    attempt = ATTEMPT.get()
    if attempt is None or attempt.step is not step or step.heartbeat_timeout_s is None:
        yield
        return
    async with attempt.beats():
        yield


def forget_heartbeat(frame: Frame, position: str) -> None:
    """The step has ended: its note is dropped in the same commit."""
    along = frame.takes_along()
    number = number_of(frame.delivery.id, position)
    along.kept = [note for note in along.kept if (note.topic, note.number) != (HEARTBEATS, number)]
    along.dropped.append((HEARTBEATS, number, number))


def hand_over_until(step: Step[..., Any], now_ms: int) -> int:
    """Until when somebody outside may complete the step. Raises UsageError if it has no `completion_timeout=`."""
    if step.completion_timeout_s is None:
        raise UsageError(
            f"step {step.name} raised CompletedElsewhere ({step.where})\n  why: it has no completion_timeout=\n"
            '  to do: write @step(completion_timeout="2d"), so that it is known how long to wait'
        )
    return now_ms + round(step.completion_timeout_s * 1000)


# What a step may call.


def _attempt(name: str) -> Attempt:
    attempt = ATTEMPT.get()
    if attempt is None:
        raise NotInExecution(
            f"{name}(...) was called outside a running long step\n  why: it belongs to one attempt of one step\n"
            "  to do: call it in a @step(heartbeat_timeout=...) or @step(completion_timeout=...) that a handler runs"
        )
    return attempt


def heartbeat(details: object = None) -> None:
    """Say that this attempt is alive: it has its `heartbeat_timeout` anew. From the function or its thread.

    `details` are kept (at most once a second, and when the attempt fails), and `last_heartbeat()` of the next attempt
    has them: how far it came, say. Raises TimeoutError in a thread whose attempt is over, so that it ends; UsageError
    for a step without `heartbeat_timeout=`, or details that cannot be kept.
    """
    attempt = _attempt("heartbeat")
    step = attempt.step
    if step.heartbeat_timeout_s is None:
        raise UsageError(
            f"step {step.name} called heartbeat ({step.where})\n  why: it has no heartbeat_timeout=\n"
            '  to do: write @step(heartbeat_timeout="30s")'
        )
    if attempt.is_over:
        raise TimeoutError(f"this attempt of {step.name} is over: no heartbeat for {step.heartbeat_timeout_s:g} s")
    try:
        said = encode_any(details)
    except NoCodec as error:
        raise UsageError(
            f"the details of a heartbeat of {step.name} cannot be kept\n  why: {error}\n  to do: give plain data"
        ) from error
    if len(said) > HEARTBEAT_BYTES_MAX:
        raise UsageError(
            f"the details of a heartbeat of {step.name} have {len(said)} bytes\n"
            f"  why: the limit is {HEARTBEAT_BYTES_MAX}\n  to do: say where it goes on, not what it has"
        )
    attempt.say(said)


@overload
def last_heartbeat() -> Any: ...
@overload
def last_heartbeat(type_: type[T], /) -> T | None: ...
def last_heartbeat(type_: Any = Any, /) -> Any:
    """What the last heartbeat of this step said, in this attempt or an earlier one; None if there is none.

    Plain data, or of `type_`. Raises DecodeFailed if it does not fit the type.
    """
    details = _attempt("last_heartbeat").earlier
    return None if details is None else codec_for(type_).read(details)


def completion_token() -> str:
    """The token under which this attempt may be completed from outside; then raise `CompletedElsewhere`.

    It is durable before the function runs, and the same if the attempt is run again after a crash. Whoever has it can
    complete this step and nothing else. Raises UsageError for a step without `completion_timeout=`.
    """
    return _attempt("completion_token").token()
