"""What clients and a node say to each other through the local door: frames and messages.

A frame is a 4-byte length and a MessagePack map. A request says what to `do`, a reply is `at` the number of its
request. A client asks first who is there: only sides with the same `PROTOCOL` go on. What either side does not know in
a message is passed over, what it cannot read is refused with one error, and nothing in a frame ever names code.
"""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from onstage.errors import OperationError, UsageError
from onstage.events.codec import DecodeFailed
from onstage.events.delayed import When
from onstage.events.duration import DURATION_S_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "FRAME_BYTES_MAX",
    "OTHER_VERSION",
    "PROTOCOL",
    "Answers",
    "AskVerdict",
    "AwaitAnswer",
    "Begin",
    "Complete",
    "Control",
    "Emit",
    "EmitAll",
    "EmitSigned",
    "EmitTimed",
    "Fork",
    "MakeWay",
    "Manage",
    "Operate",
    "OperateSchedule",
    "Ping",
    "Pong",
    "Reply",
    "Request",
    "SetPause",
    "Skip",
    "answer_as",
    "frame",
    "receive",
    "reply_in",
    "request_in",
    "request_number",
]

FRAME_BYTES_MAX: Final = 4 << 20
PROTOCOL: Final = 1
OTHER_VERSION: Final = (
    "  why: client and node are of different versions of Onstage\n"
    "  to do: run both from the same version; restart whichever is older"
)
_DO_CHARS_MAX: Final = 40
_LENGTH_BYTES: Final = 4

_Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Same = Annotated[int, msgspec.Meta(ge=PROTOCOL, le=PROTOCOL)]
_Seconds = Annotated[
    float, msgspec.Meta(ge=0, le=DURATION_S_MAX)
]  # no NaN: the loop's heap of timers has no place for it


class _Request(msgspec.Struct, frozen=True, tag_field="do", kw_only=True):
    at: _Number = 0


class Ping(_Request, frozen=True, tag="ping"):
    """Who is there? Answered with a `Pong`."""


class MakeWay(_Request, frozen=True, tag="make way"):
    """A node wants the store that a client holds."""


class _Emission(msgspec.Struct, frozen=True):
    type: str
    data: bytes
    id: str | None
    source: str | None
    process: str | None = None
    extra: bytes | None = None


class Emit(_Request, frozen=True, tag="emit"):
    """Admit one event. Answered with the public id of its process."""

    event: _Emission = msgspec.field(name="with")

    @classmethod
    def of(cls, **event: Any) -> Emit:
        """The request for these arguments of `emit`."""
        return cls(event=_Emission(**event))


class EmitSigned(_Request, frozen=True, tag="emit signed"):
    """Admit one event of an operator, whose name goes into the audit log."""

    event: _Emission = msgspec.field(name="with")
    by: str

    @classmethod
    def of(cls, by: str, **event: Any) -> EmitSigned:
        """The request for these arguments of `emit`."""
        return cls(event=_Emission(**event), by=by)


class EmitTimed(_Request, frozen=True, tag="emit timed"):
    """Admit one event that is due later, or expires: a node that does not know this must not take it for an `Emit`."""

    event: _Emission = msgspec.field(name="with")
    when: When

    @classmethod
    def of(cls, when: When, **event: Any) -> EmitTimed:
        """The request for these arguments of `emit`."""
        return cls(event=_Emission(**event), when=when)


class EmitAll(_Request, frozen=True, tag="emit all"):
    """Admit events in this order; unless `go_on`, up to the first that is refused. Answered with `Answers`."""

    events: tuple[_Emission, ...] = msgspec.field(name="with")
    go_on: bool

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]], *, go_on: bool) -> EmitAll:
        """The request for these arguments of `emit_all`."""
        return cls(events=tuple(_Emission(**event) for event in events), go_on=go_on)


class AskVerdict(_Request, frozen=True, tag="verdict"):
    """Wait for a verdict. Answered with its fields."""

    process: str
    timeout_s: _Seconds | None


class Operate(_Request, frozen=True, tag="operate"):
    """Retry or drop a dead letter. Answered with what was done."""

    action: str
    execution: _Number
    by: str | None = None


class _Start(msgspec.Struct, frozen=True):
    type: str
    data: bytes
    id: str | None
    source: str | None = None
    key: str | None = None
    timeout_s: _Seconds | None = None


class Begin(_Request, frozen=True, tag="begin"):
    """Admit one request, or the start of a workflow, as a process of its own. Answered with its public id."""

    start: _Start = msgspec.field(name="with")

    @classmethod
    def of(cls, **start: Any) -> Begin:
        """The request for these arguments of `begin`."""
        return cls(start=_Start(**start))


class AwaitAnswer(_Request, frozen=True, tag="answer"):
    """Wait for the answer to the request with this public id. Answered with its payload, or with nothing."""

    event: str
    timeout_s: _Seconds | None
    type: str | None = None


class Control(_Request, frozen=True, tag="control"):
    """Act on what answers the request with this public id. Answered with what was done."""

    action: str
    event: str
    type: str | None = None
    by: str | None = None
    note: str | None = None


class Skip(_Request, frozen=True, tag="skip"):
    """Have a stuck step of an execution count as done with this result (JSON). Answered with what was done."""

    execution: _Number
    step: str
    data: bytes | None = None
    by: str | None = None


class Fork(_Request, frozen=True, tag="fork"):
    """Fork the workflow with this public id from a step. Answered with the public id of the fork."""

    event: str
    step: str
    id: str


class OperateSchedule(_Request, frozen=True, tag="schedule"):
    """Pause, resume or backfill a schedule. Answered with what was done."""

    action: str
    name: str
    first_ms: _Number | None = None
    last_ms: _Number | None = None
    by: str | None = None


class Manage(_Request, frozen=True, tag="manage"):
    """Replay or retire a handler. Answered with what was done, in figures."""

    action: str
    handler: str
    options: dict[str, _Number] = {}
    by: str | None = None


class SetPause(_Request, frozen=True, tag="pause"):
    """Pause a handler or a service, or let it go on. Answered with what was done."""

    name: str
    paused: bool
    by: str
    why: str | None = None


class Complete(_Request, frozen=True, tag="complete"):
    """Complete a step by its token, with a result (JSON) or an error. Answered with what was done."""

    token: str
    data: bytes | None = None
    error: str | None = None
    kind: str | None = None


Request = (
    Ping
    | MakeWay
    | Emit
    | EmitTimed
    | EmitAll
    | EmitSigned
    | AskVerdict
    | Operate
    | OperateSchedule
    | Begin
    | AwaitAnswer
    | Control
    | Manage
    | SetPause
    | Complete
    | Fork
    | Skip
)
Answers = list[str | tuple[str, str]]
"""What became of each event: the public id of its process, or the name and text of the error that refused it."""


class Pong(msgspec.Struct, frozen=True, array_like=True):
    """Who is there: its process id, whether it runs handlers or only holds the store, and that it speaks `PROTOCOL`."""

    pid: _Number
    runs: bool
    protocol: _Same


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to request number `at`: a value, or the name and text of an error."""

    at: _Number
    value: Any = None
    error: tuple[str, str] | None = None


class _Head(msgspec.Struct, frozen=True):
    at: _Number


class _Named(msgspec.Struct, frozen=True):
    do: str = ""


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_HEAD: Final = msgspec.msgpack.Decoder(_Head).decode
_DECODE_NAME: Final = msgspec.msgpack.Decoder(_Named).decode
_KNOWN: Final = frozenset(str(kind.__struct_config__.tag) for kind in Request.__args__)
_DECODE_REQUEST: Final[Any] = msgspec.msgpack.Decoder(Request).decode
_DECODE_REPLY: Final = msgspec.msgpack.Decoder(Reply).decode


def frame(message: Request | Reply) -> bytes:
    """The message as it is sent. Raises UsageError if MessagePack cannot carry it, or it is too long."""
    try:
        body = _ENCODE(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _unsendable(str(error), "correct the call") from error
    if len(body) > FRAME_BYTES_MAX:
        why = f"it has {len(body)} bytes, of at most {FRAME_BYTES_MAX}"
        raise _unsendable(why, "send fewer events at a time, with smaller attributes")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def _unsendable(why: str, mend: str) -> UsageError:
    return UsageError(f"this cannot be sent between client and node\n  why: {why}\n  to do: {mend}")


async def receive(reader: StreamReader) -> bytes | None:
    """The body of the next frame, or None if the other side is gone. Raises DecodeFailed for one that is too long."""
    try:
        size = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        if size > FRAME_BYTES_MAX:
            raise DecodeFailed(f"a frame of {size} bytes, of at most {FRAME_BYTES_MAX}")
        return await reader.readexactly(size)
    except IncompleteReadError:
        return None


def request_number(body: bytes) -> int:
    """The number to answer to. Raises DecodeFailed if the frame is no request at all."""
    try:
        return _DECODE_HEAD(body).at
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"no request: {error}") from error


def request_in(body: bytes) -> Request:
    """The request in a frame. Raises OperationError if this version does not know it."""
    try:
        request: Request = _DECODE_REQUEST(body)
    except (ValueError, RecursionError) as error:
        name = _name_in(body)
        what = f"cannot read the request {name!r}: {error}" if name in _KNOWN else f"does not know the request {name!r}"
        raise OperationError(f"the node {what}\n{OTHER_VERSION}") from error
    return request


def _name_in(body: bytes) -> str:
    try:
        return _DECODE_NAME(body).do[:_DO_CHARS_MAX]
    except (ValueError, RecursionError):
        return ""


def reply_in(body: bytes) -> Reply:
    """The reply in a frame. Raises DecodeFailed if it is none."""
    try:
        return _DECODE_REPLY(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"no reply: {error}") from error


def answer_as(type_: Any, value: object) -> Any:
    """The value of a reply as this type. Raises OperationError if it is none."""
    try:
        return msgspec.convert(value, type_)
    except (ValueError, RecursionError) as error:
        raise OperationError(f"the node's answer cannot be read: {error}\n{OTHER_VERSION}") from error
