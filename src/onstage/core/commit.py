"""The narrow waist: `Commit`, all that must become durable together, and what a store answers.

Everything an execution does leaves it as commits: journal entries, events, the obligations these open, receipts,
timers, waits and the state of its row. A store applies a commit wholly or refuses it wholly. Numbers, not names, are
written on the path of an event: an event is `n` in its store, a handler and an event type are interned once, and an
execution is `execution_id(n, handler)`, so that rows are appended in commit order and one obligation can exist once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.events.receipt import Receipt, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onstage.core.journal import Entry

__all__ = [
    "HANDLERS_MAX",
    "Commit",
    "Door",
    "Mail",
    "NewEvent",
    "NewHandler",
    "NewProcess",
    "Note",
    "Notes",
    "Obligation",
    "ProgressRow",
    "Refusal",
    "RefusedBecause",
    "StateWrite",
    "Transaction",
    "WaveRow",
    "event_of",
    "execution_id",
    "handler_of",
]

_HANDLER_BITS: Final = 16
HANDLERS_MAX: Final = (1 << _HANDLER_BITS) - 1


def execution_id(event: int, handler: int) -> int:
    """The number of the execution that deals with (event, handler): increasing in the event's order."""
    return event << _HANDLER_BITS | handler


def event_of(execution: int) -> int:
    """The number of the event that started this execution."""
    return execution >> _HANDLER_BITS


def handler_of(execution: int) -> int:
    """The number of the handler of this execution."""
    return execution & HANDLERS_MAX


class NewEvent(msgspec.Struct, gc=False):
    """An event to be stored. `cause` is the execution that emitted it, 0 for one from outside."""

    n: int
    process: int
    type: int
    key: str | None
    cause: int
    hlc: int
    topology: int
    data: bytes
    extra: bytes | None = None


class Obligation(msgspec.Struct, gc=False):
    """An obligation that an event opens; with `due` (ms) it is not to start before."""

    execution: int
    process: int
    gating: bool
    due: int | None = None


class Mail(msgspec.Struct, gc=False):
    """An event put into the mailbox of a handler that waits, or may come to wait, for its type.

    `about` is the number of the request that the event answers, 0 if it is no answer. An answer lies in the mailbox of
    handler 0 as well: whoever is outside reads it there.
    """

    handler: int
    process: int
    n: int
    about: int = 0


class NewHandler(msgspec.Struct, frozen=True):
    """A handler that gets its number while the store is open: a further delivery of history (`shop.bill@1`)."""

    number: int
    name: str


class NewProcess(msgspec.Struct, gc=False):
    """A process that this store begins to know, with the number of the first event of it here: its root, if it is ours.

    `declared` names its `Process`, if there is one. For a process of another store `identity` is the one under which
    `wire_id` is looked up at the door.
    """

    process: int
    declared: str | None
    key: str | None
    started: int
    wire_id: str
    identity: bytes | None = None


class Door(msgspec.Struct, gc=False):
    """The identity of an event from outside: BLAKE2b-128 of (source, id), and of the payload."""

    identity: bytes
    payload: bytes
    n: int


class Transaction(msgspec.Struct):
    """A function to run inside the commit, on the store's connection. It answers the journal entry."""

    run: Callable[[Any], Entry]


class Note(msgspec.Struct, frozen=True):
    """What a node keeps for itself under a topic and a number; a later one with both the same replaces it."""

    topic: str
    number: int
    body: bytes


class Notes(msgspec.Struct):
    """Notes of one commit. `dropped` are (topic, first number, last number), forgotten before `kept` are written."""

    kept: Sequence[Note] = ()
    dropped: Sequence[tuple[str, int, int]] = ()

    def joined(self, others: Notes) -> Notes:
        """These and others."""
        return Notes([*self.kept, *others.kept], [*self.dropped, *others.dropped])


class StateWrite(msgspec.Struct, frozen=True):
    """The new value of a keyed state; without `data` it is cleared. Refused unless the store holds `expected`.

    `expected` is 0 for a state that was never written; `schema` is the fingerprint of the value's type.
    """

    state: str
    key: str
    expected: int
    version: int
    schema: int
    data: bytes | None


class ProgressRow(msgspec.Struct, frozen=True):
    """How far a watched process has come, as its monitor last said: `state` in a word, the rest in `body`.

    `due` is the moment (ms) at which the monitor has to look at it again, None for never. Each row replaces the one
    with the version before, and is refused on any other; the first has version 1. `violated` rules are broken.
    """

    process: int
    version: int
    due: int | None
    state: str
    body: bytes
    violated: int = 0


class WaveRow(msgspec.Struct, frozen=True):
    """Whether a process is being undone, was, or must not be any more: `state` in a word, the rest in `body`.

    Each row replaces the one with the version before, and is refused on any other; the first has version 1.
    """

    process: int
    version: int
    state: str
    body: bytes


class Commit(msgspec.Struct):
    """All that must become durable together.

    `execution` 0 is a way in from outside. `expected` is the journal length it was computed from; a store that holds
    another length refuses. `after` are the positions of the commits this one follows from: it is refused if one of
    them is. `position` is given by the store on `append`, and is the order of everything. `also` are executions that
    never began and are settled with this one: they get its status, and their receipts are among `receipts`; the commit
    is refused if one of them is not open, or has a journal. `copied` is what the journal of the first execution begins
    with that this commit opens: a fork. It is refused as well if the process `undecided` has an outcome by then, or a
    row of `progress` or of `waves` does not follow the stored one.
    """

    execution: int = 0
    process: int = 0
    gating: bool = True
    epoch: int = 0
    expected: int = 0
    after: tuple[int, ...] = ()
    status: int = int(Status.DONE)
    segment: int = 0
    attempts: int = 1
    due: int | None = None
    started: int = 0
    ended: int = 0
    code: int = 0
    waits: str | None = None
    error: str | None = None
    entries: tuple[Entry, ...] = ()
    events: Sequence[NewEvent] = ()
    opened: Sequence[Obligation] = ()
    mail: Sequence[Mail] = ()
    receipts: Sequence[Receipt] = ()
    roots: Sequence[NewProcess] = ()
    door: Door | None = None
    transaction: Transaction | None = None
    notes: Notes | None = None
    position: int = 0
    handlers: Sequence[NewHandler] = ()
    also: tuple[int, ...] = ()
    states: Sequence[StateWrite] = ()
    copied: Sequence[Entry] = ()
    progress: Sequence[ProgressRow] = ()
    undecided: int = 0
    waves: Sequence[WaveRow] = ()


class RefusedBecause:
    """Why a store refuses a commit."""

    CONFLICT: Final = "conflict"
    STALE_EPOCH: Final = "stale epoch"
    FELLED: Final = "felled"
    DUPLICATE: Final = "duplicate"
    USER: Final = "user"


class Refusal(msgspec.Struct, frozen=True):
    """A commit that was not applied. `error` is the exception of the user's transaction, or says what conflicted.

    `existing` is, for a duplicate, the number of the event that is already stored, and None if its payload differs.
    """

    commit: Commit
    because: str
    error: BaseException | None = None
    existing: int | None = None
