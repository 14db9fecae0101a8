"""What a durable call asks its execution, and what it is answered."""

from __future__ import annotations

from typing import Final, final

import msgspec

from onstage.core.journal import (
    Abandoned,
    Answered,
    Asked,
    Attempted,
    Begun,
    Emitted,
    Entry,
    Failed,
    HandedOver,
    Held,
    Raced,
    SleepOpened,
    Slept,
    StateRead,
    StateSet,
    StateWritten,
    Stepped,
    Transacted,
    Valued,
    WaitEnded,
    WaitHopeless,
    WaitOpened,
)

__all__ = [
    "PERFORM_FIRST",
    "Answer",
    "AskRequest",
    "CancelAnswer",
    "DivergedAnswer",
    "EmitRequest",
    "Look",
    "ParkAnswer",
    "Perform",
    "RaceRequest",
    "Recorded",
    "Request",
    "SleepRequest",
    "StateReadRequest",
    "StateRequest",
    "StateWriteRequest",
    "StepRequest",
    "TransactionRequest",
    "ValueRequest",
    "WaitRequest",
    "describe",
    "fits",
    "next_attempt",
    "shown",
]


@final
class StepRequest(msgspec.Struct, frozen=True):
    """A step with these arguments (hashed)."""

    arguments: int


@final
class TransactionRequest(msgspec.Struct, frozen=True):
    """A transaction with these arguments (hashed)."""

    arguments: int


@final
class EmitRequest(msgspec.Struct, frozen=True):
    """An event emitted in the middle; `arguments` is the hash of its type and data."""

    arguments: int


@final
class WaitRequest(msgspec.Struct, frozen=True):
    """A wait for one of `types`, for at most `timeout_ms`."""

    types: tuple[str, ...]
    timeout_ms: int | None


@final
class SleepRequest(msgspec.Struct, frozen=True):
    """A sleep of `duration_ms`."""

    duration_ms: int


@final
class ValueRequest(msgspec.Struct, frozen=True):
    """A reading of the clock, of randomness or of a uuid."""


@final
class RaceRequest(msgspec.Struct, frozen=True):
    """Which of several branches was the first to finish."""


@final
class AskRequest(msgspec.Struct, frozen=True):
    """A request to be answered; `arguments` is the hash of its type and data."""

    arguments: int


@final
class StateReadRequest(msgspec.Struct, frozen=True):
    """A reading of a keyed state; `arguments` is the hash of its name and key."""

    arguments: int


@final
class StateRequest(msgspec.Struct, frozen=True):
    """A value to be shown; `arguments` is the hash of its key and value."""

    arguments: int


@final
class StateWriteRequest(msgspec.Struct, frozen=True):
    """A new value of a keyed state; `arguments` is the hash of its name, key and value."""

    arguments: int


Request = (
    StepRequest
    | TransactionRequest
    | EmitRequest
    | WaitRequest
    | SleepRequest
    | ValueRequest
    | RaceRequest
    | AskRequest
    | StateRequest
    | StateReadRequest
    | StateWriteRequest
)


@final
class Recorded(msgspec.Struct, frozen=True):
    """It has happened; this is its entry."""

    entry: Entry


@final
class Perform(msgspec.Struct, frozen=True):
    """Do it, as attempt number `attempt`; the first one began at `first` (ms, 0 if this is it).

    `begun` says that the in-doubt mark is written, so an earlier attempt may have had its effect.
    """

    attempt: int
    begun: bool
    first: int = 0


@final
class Look(msgspec.Struct, frozen=True):
    """Look in the mailbox for one of the types; if there is none, park until `due` (None: for ever)."""

    due: int | None


@final
class ParkAnswer(msgspec.Struct, frozen=True):
    """Nothing to do before `due`."""

    due: int


@final
class DivergedAnswer(msgspec.Struct, frozen=True):
    """The code asked for something else than the journal recorded; `diff` shows both."""

    diff: str


@final
class CancelAnswer(msgspec.Struct, frozen=True):
    """At this position the code was told that its execution is cancelled."""


Answer = Recorded | Perform | Look | ParkAnswer | DivergedAnswer | CancelAnswer
PERFORM_FIRST: Final = Perform(1, begun=False)

_KINDS: Final[dict[type, tuple[type, ...]]] = {
    StepRequest: (Begun, Attempted, Stepped, Failed, Held, Abandoned, HandedOver),
    TransactionRequest: (Attempted, Transacted, Failed, Held),
    EmitRequest: (Emitted,),
    WaitRequest: (WaitOpened, WaitEnded, WaitHopeless),
    SleepRequest: (SleepOpened, Slept),
    ValueRequest: (Valued,),
    AskRequest: (Asked, Answered),
    StateRequest: (StateSet,),
    RaceRequest: (Raced,),
    StateReadRequest: (StateRead,),
    StateWriteRequest: (StateWritten,),
}
_HASHED: Final = (
    StepRequest,
    TransactionRequest,
    EmitRequest,
    AskRequest,
    StateRequest,
    StateReadRequest,
    StateWriteRequest,
)
_NAMES: Final[dict[type, str]] = {StateReadRequest: "state read", StateWriteRequest: "state written"}


def fits(entry: Entry, request: Request) -> bool:
    """Whether the journal has at this position what the code asks for."""
    if not isinstance(entry, _KINDS[type(request)]):
        return False
    if isinstance(request, _HASHED):
        return getattr(entry, "arguments", None) == request.arguments
    if isinstance(entry, WaitOpened) and isinstance(request, WaitRequest):
        return entry.types == request.types
    return True


def describe(request: Request) -> str:
    """What is asked for, for people."""
    name = _NAMES.get(type(request)) or type(request).__name__.removesuffix("Request").lower()
    if isinstance(request, _HASHED):
        return f"{name} with arguments {request.arguments:08x}"
    if isinstance(request, WaitRequest):
        return f"wait for {', '.join(request.types)}"
    return name


def shown(entry: Entry) -> str:
    """What is recorded, for people."""
    arguments = getattr(entry, "arguments", None)
    suffix = "" if arguments is None else f" with arguments {arguments:08x}"
    return f"{entry.position}: {type(entry).__name__.lower()}{suffix}"


def next_attempt(entry: Entry | None, now_ms: int) -> Perform | ParkAnswer | Look:
    """What is to be done about a step that has not come to its end."""
    match entry:
        case HandedOver():
            return Look(entry.due)
        case Attempted():
            if entry.due > now_ms:
                return ParkAnswer(entry.due)
            return Perform(entry.attempts + 1, begun=True, first=entry.first)
        case Begun():
            return Perform(1, begun=True)
        case _:
            return PERFORM_FIRST
