"""The journal: what an execution has done, entry by entry, in the order in which it became durable.

An entry belongs to a *position*, the name of a durable call: branch path, name and occurrence (`charge#0`, and
`2/charge#0` in the third branch). A later entry at the same position replaces an earlier one: `Begun`, then
`Attempted`, then `Stepped`. Arguments are kept as a hash, and in full only where an undo will need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import msgspec

from onstage.events.codec import DecodeFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "JOURNAL_ENTRIES_MAX",
    "PAYLOAD_FIELDS",
    "Abandoned",
    "Answered",
    "Asked",
    "Attempted",
    "Begun",
    "CancelSeen",
    "Continued",
    "Emitted",
    "Entry",
    "Failed",
    "Forked",
    "HandedOver",
    "Held",
    "Patched",
    "Raced",
    "Rejected",
    "ScopeRejected",
    "SleepOpened",
    "Slept",
    "StateRead",
    "StateSet",
    "StateWritten",
    "Stepped",
    "TokenDrawn",
    "Transacted",
    "Undone",
    "Valued",
    "WaitEnded",
    "WaitHopeless",
    "WaitOpened",
    "decode_entry",
    "encode_entry",
    "fingerprint",
    "has_paused",
    "is_final",
]

JOURNAL_ENTRIES_MAX: Final = 10_000
PAYLOAD_FIELDS: Final = ("call", "data", "input", "rebuilt_from", "result", "value")
"""The fields of entries that hold payloads: a codec seals them, large ones are offloaded."""


# Stored as an array, the tag first: a tag never changes its meaning, and a new field comes last, with a default.
class _Entry(msgspec.Struct, frozen=True, array_like=True, tag_field="entry", gc=False):
    position: str


class Begun(_Entry, tag=1, frozen=True):
    """A step with an undo is about to run: from here on it is *in doubt* until its result is recorded."""

    arguments: int
    undo: str
    call: bytes


class Attempted(_Entry, tag=2, frozen=True):
    """`attempts` of a step failed, the first began at `first`; the next is due at `due` (ms since the epoch).

    With 0 attempts it opens the step anew, with a full budget, after its failure left the handler.
    """

    arguments: int
    attempts: int
    due: int
    error: str
    first: int


class Stepped(_Entry, tag=3, frozen=True):
    """A step ended with a result. `undo` and `call` (its arguments) are kept for a step that can be undone.

    `version` is the step's as it was then.
    """

    arguments: int
    result: bytes
    schema: int
    attempts: int
    ended: int
    undo: str | None = None
    call: bytes | None = None
    version: int = 1


class Failed(_Entry, tag=4, frozen=True):
    """A step failed for good and the handler went on past it. `kind` names a `give_up_on` type, rebuilt on replay."""

    arguments: int
    kind: str | None
    rebuilt_from: bytes | None
    error: str
    attempts: int


class Transacted(_Entry, tag=5, frozen=True):
    """A transaction on the service's own tables committed, in this very commit."""

    arguments: int
    result: bytes
    schema: int
    version: int = 1


class Emitted(_Entry, tag=6, frozen=True):
    """An event was emitted in the middle of the handler."""

    arguments: int
    event: int


class WaitOpened(_Entry, tag=7, frozen=True):
    """The execution began to wait for one of `types`, until `due` (None: for ever)."""

    types: tuple[str, ...]
    due: int | None


class WaitEnded(_Entry, tag=8, frozen=True):
    """The wait took event number `event`, of this version of its type, or timed out (`event` is 0)."""

    event: int
    type: str
    data: bytes
    version: int = 1


class WaitHopeless(_Entry, tag=60, frozen=True):
    """The wait ended because nothing that is open in its process could lead to what it waited for."""


class SleepOpened(_Entry, tag=9, frozen=True):
    """The execution sleeps until `due`."""

    due: int


class Slept(_Entry, tag=10, frozen=True):
    """The sleep is over."""


class Valued(_Entry, tag=11, frozen=True):
    """The clock, a random number or a uuid was read."""

    value: bytes


class Rejected(_Entry, tag=12, frozen=True):
    """The handler rejected, or was cancelled: from here on the execution only undoes."""

    reason: str
    cancelled: bool = False


class Undone(_Entry, tag=13, frozen=True):
    """The undo of one step ended."""


class Held(_Entry, tag=20, frozen=True):
    """A step failed for good beside a branch that has parked: whether the handler goes on past it is still open."""

    arguments: int
    kind: str | None
    rebuilt_from: bytes | None
    error: str
    attempts: int


class Raced(_Entry, tag=21, frozen=True):
    """The race at this position is decided: branch number `winner` was the first to finish."""

    winner: int


class Abandoned(_Entry, tag=22, frozen=True):
    """A step of a branch that had lost its race ended. Nobody gets its result; its undo is due."""

    arguments: int
    result: bytes
    schema: int
    attempts: int
    ended: int
    undo: str | None = None
    call: bytes | None = None
    version: int = 1


class ScopeRejected(_Entry, tag=23, frozen=True):
    """A rejection aborted the scope at this position: what its steps did is undone, the handler goes on after it."""

    reason: str


class Patched(_Entry, tag=24, frozen=True):
    """On which side of a change of the code this execution is: `new`, or as it was before."""

    new: bool


class StateRead(_Entry, tag=50, frozen=True):
    """A keyed state was read (hashed in `arguments`): the value then, None if there was none, and its version."""

    arguments: int
    version: int
    schema: int
    data: bytes | None


class StateWritten(_Entry, tag=51, frozen=True):
    """A keyed state got a new value (hashed with its name and key), in this very commit."""

    arguments: int
    version: int


class HandedOver(_Entry, tag=52, frozen=True):
    """Attempt number `attempts` of a step left its completion to somebody outside, who has time until `due`."""

    arguments: int
    attempts: int
    due: int
    first: int


class TokenDrawn(_Entry, tag=53, frozen=True):
    """The secret of the tokens under which a step may be completed from outside, drawn before it runs."""

    secret: bytes


class Asked(_Entry, tag=30, frozen=True):
    """A request was emitted as event number `event`; its answer is awaited until `due` (None: for ever).

    `child` is the execution that it starts, if it is the start of a workflow, else 0. It has handler number 0 if the
    workflow runs on another store. With `joined` that event was emitted by somebody else: this one waits for the result
    of a run that was started before.
    """

    arguments: int
    event: int
    due: int | None
    child: int = 0
    joined: bool = False


class Answered(_Entry, tag=31, frozen=True):
    """The answer is event number `event`; 0 if there was none in time. `data` is the payload of that event."""

    arguments: int
    event: int
    data: bytes


class StateSet(_Entry, tag=32, frozen=True):
    """The execution shows `value` (JSON) under `key` from here on."""

    arguments: int
    key: str
    value: bytes


class CancelSeen(_Entry, tag=33, frozen=True):
    """The durable call at position `at` raised `Cancelled`: that the execution is to end was told to its branch.

    `at` is empty if another branch was told, whose `Cancelled` came here.
    """

    at: str

    @property
    def branch(self) -> str:
        """The path of the branch that was told."""
        return self.position.removesuffix("cancel")


class Forked(_Entry, tag=41, frozen=True):
    """What stands before this was taken over from another execution; from `cut` on it is done anew.

    `origin` names that execution, by the public id of its event and its handler, as the keys of its steps do.
    """

    origin: str
    cut: str


class Continued(_Entry, tag=34, frozen=True):
    """The execution began anew with this `input` (its payload): what was recorded before is no longer asked again."""

    input: bytes


Entry = (
    Begun
    | Attempted
    | Stepped
    | Failed
    | Transacted
    | Emitted
    | WaitOpened
    | WaitEnded
    | WaitHopeless
    | SleepOpened
    | Slept
    | Valued
    | Rejected
    | Undone
    | Asked
    | Answered
    | StateSet
    | CancelSeen
    | Continued
    | Held
    | Raced
    | Abandoned
    | ScopeRejected
    | Patched
    | StateRead
    | StateWritten
    | HandedOver
    | TokenDrawn
    | Forked
)

encode_entry = msgspec.msgpack.Encoder().encode
_DECODE: Final[Any] = msgspec.msgpack.Decoder(Entry).decode

_FINAL: Final = (
    Stepped,
    Failed,
    Transacted,
    Emitted,
    WaitEnded,
    WaitHopeless,
    Slept,
    Valued,
    Raced,
    Abandoned,
    Answered,
    StateSet,
    StateRead,
    StateWritten,
)
_PAUSES: Final = (WaitOpened, WaitEnded, WaitHopeless, SleepOpened, Slept, HandedOver, Asked, Answered)


def decode_entry(body: bytes) -> Entry:
    """The entry in `body`, as `encode_entry` wrote it; additions of a later version are passed over.

    Raises DecodeFailed if it is none.
    """
    try:
        entry: Entry = _DECODE(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"a journal entry: {error}") from error
    return entry


def is_final(entry: Entry) -> bool:
    """Whether the call at this position is over, so that replay answers it without doing anything."""
    return isinstance(entry, _FINAL)


def has_paused(journal: Iterable[Entry]) -> bool:
    """Whether the execution has come to a wait or a sleep, be it over or not."""
    return any(isinstance(entry, _PAUSES) for entry in journal)


def fingerprint(canonical: bytes) -> int:
    """The hash of canonically encoded arguments that an entry keeps (CRC-32: a check, not a secret)."""
    return crc32(canonical)
