"""The store: what makes commits durable, and what can be read back.

`Store` is the narrow waist of Onstage: everything that must be atomic travels in one `Commit`. Commits get their
position, the one total order of a node, on `append`, and become durable in that order: a crash forgets a suffix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.events.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from onstage.core.commit import Commit, Note, ProgressRow, Refusal, WaveRow
    from onstage.core.journal import Entry

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "BatchOutcome",
    "Bundle",
    "Closed",
    "Connection",
    "Declaration",
    "EventView",
    "ExecutionView",
    "Features",
    "Opened",
    "ProcessView",
    "Reader",
    "Refused",
    "StateView",
    "Store",
    "Stored",
    "payload_bytes_max",
]


PAYLOAD_BYTES_MAX: Final = 16 << 20
"""How large an event may be where large payloads are offloaded; a page of the log may hold a hundred of them."""


class Connection(Protocol):
    """What a `@transaction` function gets: the store's own connection, inside the commit."""

    def execute(self, sql: str, bindings: Any = ..., /) -> Iterable[tuple[Any, ...]]:
        """Run one statement; iterate for its rows. Commit, rollback and attach are refused."""
        ...


class Features(msgspec.Struct, frozen=True):
    """What a store can do; the contract's tests ask for exactly this much. `payload_bytes_max` is an event's."""

    transactions: bool
    survives_restart: bool
    reads_from_other_processes: bool
    payload_bytes_max: int = EVENT_BYTES_MAX


def payload_bytes_max(offload_above: int | None) -> int:
    """How large an event may be in a store that offloads above so many bytes; None if it does not."""
    return EVENT_BYTES_MAX if offload_above is None else PAYLOAD_BYTES_MAX


class Declaration(msgspec.Struct, frozen=True):
    """What a node brings along when it opens a store.

    `types` are (name, version), `handlers` (full name, earlier names); `outcomes` maps a declared process to the names
    of the event types that end it, `undoing` to those of them that have it undone; `tables` are SQL scripts of the
    services, run in the writer at the start. With `partial` parts of processes are in other stores: one with nothing
    open has ended when its digest is zero as well. A store that `is_view` only shows what a log says.
    """

    types: tuple[tuple[str, int], ...]
    handlers: tuple[tuple[str, tuple[str, ...]], ...]
    outcomes: dict[str, frozenset[str]]
    manifest: bytes
    tables: tuple[str, ...] = ()
    partial: bool = False
    is_view: bool = False
    undoing: Mapping[str, frozenset[str]] = {}


class Opened(msgspec.Struct, frozen=True):
    """What a store answers when it is opened: its identity, the high-water marks, and the interned numbers.

    `incarnations` are (first n, name) in order, the present one last; `epoch` fences older writers.
    """

    store: str
    incarnations: tuple[tuple[int, str], ...]
    next_n: int
    hlc: int
    epoch: int
    topology: int
    types: dict[tuple[str, int], int]
    handlers: dict[str, int]
    retired_handlers: dict[int, str]


class EventView(msgspec.Struct, frozen=True):
    """One stored event. `cause` is the execution that emitted it, 0 for an event from outside."""

    n: int
    process: int
    type: str
    version: int
    key: str | None
    cause: int
    hlc: int
    topology: int
    data: bytes
    extra: bytes | None = None

    def lane(self, field: str | None) -> Any:
        """The lane of this event: its key, or with `field` that field of its JSON payload; None if it has none."""
        if field is None:
            return self.key
        try:
            return msgspec.json.decode(self.data, type=dict[str, Any]).get(field)
        except (ValueError, RecursionError):
            return None


class ExecutionView(msgspec.Struct, frozen=True):
    """One obligation and how far it got. Times are milliseconds since the epoch, `waits` a list of event types."""

    id: int
    process: int
    handler: str
    status: int
    gating: bool
    segment: int
    length: int
    epoch: int
    attempts: int
    due: int | None
    started: int
    ended: int
    code: int
    waits: tuple[str, ...]
    error: str | None


class ProcessView(msgspec.Struct, frozen=True):
    """One process as the ledger has it. `open` counts open obligations; `digest` is 0 exactly when it is 0.

    `undoable` once a step with an undo was begun; `asked` is the outcome that asks for that, or -1 for a rejection.
    """

    id: int
    wire_id: str
    declared: str | None
    key: str | None
    digest: int
    open: int
    outcome: str | None
    started: int
    ended: int | None
    undoable: int = 0
    asked: int = 0


class Stored(msgspec.Struct, frozen=True):
    """An execution with all that running it again takes. `unreadable` says why its payloads could not be opened."""

    execution: ExecutionView
    event: EventView
    entries: tuple[Entry, ...]
    unreadable: str | None = None


class Bundle(msgspec.Struct, frozen=True):
    """Receipts of one shard that one batch wrote, in commit order; `seq` is that of the first, and they are dense."""

    position: int
    epoch: int
    shard: int
    seq: int
    receipts: tuple[Receipt, ...]


class StateView(msgspec.Struct, frozen=True):
    """One keyed state; `data` is None if it was cleared. `execution` wrote it, at `changed` (ms since the epoch)."""

    state: str
    key: str
    version: int
    schema: int
    data: bytes | None
    execution: int
    changed: int


class Closed(msgspec.Struct, frozen=True):
    """A process that is quiescent as of this batch; if `undoable`, it may have been undone, whatever its outcome."""

    process: int
    outcome: str | None
    ended: int
    balanced: bool  # if not, its digest disagrees: an engine defect
    undoable: bool = False


class BatchOutcome(msgspec.Struct):
    """What became of a batch: everything up to `position` is durable or refused. `waves` are the rows it wrote."""

    position: int
    refused: list[Refusal]
    results: dict[int, Entry]
    closed: list[Closed]
    waves: list[WaveRow] = []


class Refused(Exception):
    """The commit one waited for was refused; `refusal` says why. Internal: the runtime turns it into an answer."""

    def __init__(self, refusal: Refusal) -> None:
        """Carry the refusal."""
        super().__init__(refusal.because)
        self.refusal = refusal


class Reader(Protocol):
    """Reading what is durable. Pages are bounded by `limit` and keyed by the last row's number."""

    async def event(self, n: int) -> EventView | None:
        """One event."""
        ...

    async def events(
        self, *, process: int | None = None, type: str | None = None, after: int = 0, limit: int = 100
    ) -> list[EventView]:
        """Events in the order of their numbers, after number `after`."""
        ...

    async def execution(self, execution: int) -> Stored | None:
        """One execution with its event and journal."""
        ...

    async def executions(
        self,
        *,
        process: int | None = None,
        statuses: Iterable[int] | None = None,
        handler: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[ExecutionView]:
        """Executions in the order of their numbers. Without `process` only open `statuses` may be asked for."""
        ...

    async def ahead(self, execution: int, *, statuses: Iterable[int], field: str | None = None) -> ExecutionView | None:
        """The first earlier execution of the same handler and the same lane that is set aside, with such a status.

        The lane is the event's key, or with `field` that top-level field of its JSON payload. None if there is none,
        or if this event has no lane.
        """
        ...

    async def manifest(self, topology: int | None = None) -> bytes:
        """The manifest of a topology epoch, or of the newest one, as it was declared; empty if there is none."""
        ...

    async def process(self, process: int) -> ProcessView | None:
        """One process."""
        ...

    async def processes(
        self,
        *,
        key: str | None = None,
        declared: str | None = None,
        open_only: bool = False,
        before: int | None = None,
        limit: int = 100,
    ) -> list[ProcessView]:
        """Processes, the newest first, before number `before`."""
        ...

    async def receipts(self, *, after: int = 0, limit: int = 1000) -> list[Bundle]:
        """Receipts in bundles, after the bundle at position `after`; those of one shard in commit order."""
        ...

    async def mail(self, handler: int, process: int, *, after: int = 0, limit: int = 100) -> list[EventView]:
        """Events of `process` in the mailbox of `handler`, in order, after event number `after`; no answers."""
        ...

    async def answer(self, about: int) -> EventView | None:
        """The answer to event number `about`: the first letter about it, in any mailbox. None if there is none."""
        ...

    async def unread(self, *, after: int = 0, limit: int = 1000) -> list[int]:
        """Waiting executions whose mailbox holds something: all that may have to be woken after a restart.

        A superset of those: what an execution has taken stays in its mailbox, and only its journal tells what that
        is. Whoever reads this looks at each once and goes on behind it; asking again gives the same ones.
        """
        ...

    async def doors(self, identities: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """The event number and payload hash that were admitted under these identities, as far as any were."""
        ...

    async def notes(self, topic: str, *, after: int = -1, newest_first: bool = False, limit: int = 100) -> list[Note]:
        """What the node keeps under this topic, in the order of its numbers, after number `after`.

        With `newest_first` the last ones, in the opposite order.
        """
        ...

    async def state(self, state: str, key: str) -> StateView | None:
        """One keyed state; None if it was never written."""
        ...

    async def states(
        self, *, state: str | None = None, key: str | None = None, after: tuple[str, str] = ("", ""), limit: int = 100
    ) -> list[StateView]:
        """Keyed states in the order of (state, key), after that pair; of one name, of one key, or all."""
        ...

    async def newest_receipt(self) -> int:
        """The position of the newest bundle of receipts, 0 if there is none."""
        ...

    async def progress(self, processes: Sequence[int]) -> list[ProgressRow]:
        """How far these processes have come, as far as they are watched, in the order of their numbers."""
        ...

    async def progress_due(self, until: int | None = None, *, limit: int = 100) -> list[ProgressRow]:
        """Rows of progress that are due at `until` (ms) at the latest, or ever: the earliest first."""
        ...

    async def waves(
        self, processes: Sequence[int] | None = None, *, after: int = 0, limit: int = 1000, open_only: bool = False
    ) -> list[WaveRow]:
        """Which of these processes, or of all (or the open) after number `after`, are undone or must not be."""
        ...


class Store(Protocol):
    """Makes commits durable, in order, in batches. One node writes to a store at a time."""

    features: Features
    on_batch: Callable[[BatchOutcome], None]

    @property
    def reader(self) -> Reader:
        """What is durable, to be read; from `open` on."""
        ...

    @property
    def undurable(self) -> int:
        """How many commits are appended and not yet durable or refused."""
        ...

    @property
    def appended(self) -> int:
        """The position of the newest commit."""
        ...

    @property
    def trouble(self) -> str | None:
        """What keeps the store from writing at present: what, why, what to do. None if all is well."""
        ...

    async def open(self, declaration: Declaration) -> Opened:
        """Migrate, take the writer's place, draw and record a new incarnation, intern names.

        Raises NodeRunning if another node has the store, SchemaTooNew for a store of a later version,
        StoreUnavailable if it cannot be opened.
        """
        ...

    def append(self, commit: Commit) -> int:
        """Give the commit its position and take it over. It becomes durable with the next batch."""
        ...

    def flush(self) -> None:
        """Hand everything appended to the writer."""
        ...

    async def durable(self, position: int) -> Entry | None:
        """Wait until everything up to `position` is durable; answers the entry of a transaction at `position`.

        Raises Refused if the commit at `position` was refused, StoreUnavailable if the store was closed before.
        """
        ...

    async def close(self) -> None:
        """Make everything appended durable if the store lets it, then close. Safe to call twice."""
        ...

    def statistics(self) -> Mapping[str, int]:
        """Counters since the start: batches, commits, refused, fsyncs asked for."""
        ...
