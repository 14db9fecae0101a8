"""A store whose payloads are sealed: what goes in is encrypted, what is read is opened; the engine sees neither.

Sealed are the data of events, results, arguments and values in the journal, what waits took, keyed state, and notes
that hold payloads. Not sealed is what the store searches, orders and shows by: types, keys, ids, times, names, error
texts. Each payload is bound to its place: the event's number, process and type; the execution, position and field; the
state, key and version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.core.commit import Commit, Note, Notes, Transaction
from onstage.core.journal import PAYLOAD_FIELDS
from onstage.errors import KeyMissing, SealBroken, UsageError
from onstage.ports.payload_codec import Seal
from onstage.ports.store import EventView, StateView, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onstage.core.journal import Entry
    from onstage.ports.payload_codec import PayloadCodec
    from onstage.ports.store import (
        BatchOutcome,
        Declaration,
        Opened,
        Reader,
        Store,
    )

__all__ = ["SealedReader", "SealedStore"]

SEALED_TOPICS: Final = frozenset({"completion", "errand", "forward", "heartbeat", "refused"})
"""Topics of notes that hold payloads; the others hold numbers and names."""

TRANSACTIONS_MAX: Final = 10_000
"""Of how many transactions the answer can still be asked for: far more than are under way at once."""


@final
class SealedStore:
    """Wraps a store of any kind."""

    def __init__(self, store: Store, codec: PayloadCodec) -> None:
        """Seal with this codec."""
        self._store = store
        self._seal = Seal(codec)
        self._types: dict[int, str] = {}
        self._transacting: dict[int, int] = {}
        self.features = store.features
        self.reader: Reader  # there once the store is open

    @property
    def on_batch(self) -> Callable[[BatchOutcome], None]:
        """Who is told what became of a batch."""
        return self._store.on_batch

    @on_batch.setter
    def on_batch(self, told: Callable[[BatchOutcome], None]) -> None:
        self._store.on_batch = told

    @property
    def undurable(self) -> int:
        """How many commits are appended and not yet durable."""
        return self._store.undurable

    @property
    def appended(self) -> int:
        """The position of the newest commit."""
        return self._store.appended

    @property
    def trouble(self) -> str | None:
        """What keeps the store from writing."""
        return self._store.trouble

    async def open(self, declaration: Declaration) -> Opened:
        """Open the store, and learn the numbers of the types. Raises UsageError for a codec that does not work."""
        self._try_out()
        opened = await self._store.open(declaration)
        self.reader = SealedReader(self._store.reader, self._seal)
        self._types = {number: name for (name, _), number in opened.types.items()}
        return opened

    def _try_out(self) -> None:
        """Whether the codec opens what it seals, before anything relies on it."""
        try:
            works = self._seal.open(self._seal.close(b"{}", "trial"), "trial") == b"{}"
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"the codec does not work: {type(error).__name__}: {error}\n"
                "  why: a payload was sealed and opened for a trial\n  to do: correct the codec or its keys"
            ) from error
        if not works:
            why = "it opens something else than it sealed"
            raise UsageError(f"the codec does not work\n  why: {why}\n  to do: correct its encrypt and decrypt")

    def append(self, commit: Commit) -> int:
        """Append the commit with its payloads sealed."""
        sealed = msgspec.structs.replace(
            commit,
            events=tuple(
                msgspec.structs.replace(e, data=self._seal.close(e.data, "event", e.n, e.process, self._types[e.type]))
                for e in commit.events
            ),
            entries=tuple(_each(self._seal.close, commit.execution, entry) for entry in commit.entries),
            states=tuple(
                state
                if state.data is None
                else msgspec.structs.replace(
                    state, data=self._seal.close(state.data, "state", state.state, state.key, state.version)
                )
                for state in commit.states
            ),
            notes=None if commit.notes is None else self._notes(commit.notes),
            transaction=None if commit.transaction is None else self._transaction(commit, commit.transaction),
            copied=tuple(_each(self._seal.close, commit.opened[0].execution, entry) for entry in commit.copied),
        )
        commit.position = position = self._store.append(sealed)
        if commit.transaction is not None:
            self._transacting[position] = commit.execution
            while len(self._transacting) > TRANSACTIONS_MAX:
                del self._transacting[next(iter(self._transacting))]
        return position

    def _notes(self, notes: Notes) -> Notes:
        kept = [
            Note(note.topic, note.number, self._seal.close(note.body, "note", note.topic, note.number))
            if note.topic in SEALED_TOPICS
            else note
            for note in notes.kept
        ]
        return Notes(kept, notes.dropped)

    def _transaction(self, commit: Commit, transaction: Transaction) -> Transaction:
        def run(connection: Any) -> Entry:
            return _each(self._seal.close, commit.execution, transaction.run(connection))

        return Transaction(run)

    def flush(self) -> None:
        """Hand everything appended to the writer."""
        self._store.flush()

    async def durable(self, position: int) -> Entry | None:
        """Wait until it is durable; the entry of a transaction is opened."""
        entry = await self._store.durable(position)
        execution = self._transacting.get(position)
        return entry if entry is None or execution is None else _each(self._seal.open, execution, entry)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    def abandon(self) -> None:
        """Let go of it as a killed process would. For simulated crashes."""
        self._store.abandon()  # type: ignore[attr-defined]  # of the stores that are played with

    def statistics(self) -> Mapping[str, int]:
        """The store's counters."""
        return self._store.statistics()


def _each(act: Callable[..., bytes], execution: int, entry: Entry) -> Entry:
    """The entry with every payload in it sealed, or opened."""
    changed = {
        field: act(data, "entry", execution, entry.position, field)
        for field in PAYLOAD_FIELDS
        if isinstance(data := getattr(entry, field, None), bytes)
    }
    return msgspec.structs.replace(entry, **changed) if changed else entry


@final
class SealedReader:
    """Reads from a store of sealed payloads.

    What is asked for by its number is answered sealed if it cannot be opened; an execution says so in `unreadable`.
    Pages of payloads raise instead: whoever takes one must not take it for what it is not.
    """

    def __init__(self, reader: Reader, seal: Seal) -> None:
        """Read through this reader."""
        self._reader = reader
        self._seal = seal
        self.executions = reader.executions
        self.ahead = reader.ahead
        self.manifest = reader.manifest
        self.process = reader.process
        self.processes = reader.processes
        self.receipts = reader.receipts
        self.unread = reader.unread
        self.doors = reader.doors
        self.newest_receipt = reader.newest_receipt
        self.progress = reader.progress
        self.progress_due = reader.progress_due
        self.waves = reader.waves

    def close(self) -> None:
        """Close the reader, if it is one of its own."""
        self._reader.close()  # type: ignore[attr-defined]  # of a reader that was opened apart

    def _event(self, view: EventView) -> EventView:
        data = self._seal.open(view.data, "event", view.n, view.process, view.type)
        return view if data is view.data else msgspec.structs.replace(view, data=data)

    async def event(self, n: int) -> EventView | None:
        """One event; sealed if it cannot be opened."""
        view = await self._reader.event(n)
        try:
            return None if view is None else self._event(view)
        except (KeyMissing, SealBroken):
            return view

    async def events(
        self, *, process: int | None = None, type: str | None = None, after: int = 0, limit: int = 100
    ) -> list[EventView]:
        """Events in the order of their numbers. Raises KeyMissing, SealBroken."""
        return [
            self._event(view)
            for view in await self._reader.events(process=process, type=type, after=after, limit=limit)
        ]

    async def execution(self, execution: int) -> Stored | None:
        """One execution with its event and journal; sealed and `unreadable` if it cannot be opened."""
        stored = await self._reader.execution(execution)
        if stored is None:
            return None
        try:
            entries = tuple(_each(self._seal.open, execution, entry) for entry in stored.entries)
            return Stored(stored.execution, self._event(stored.event), entries)
        except (KeyMissing, SealBroken) as error:
            return msgspec.structs.replace(stored, unreadable=str(error))

    async def mail(self, handler: int, process: int, *, after: int = 0, limit: int = 100) -> list[EventView]:
        """The mailbox of one handler for one process. Raises KeyMissing, SealBroken."""
        return [self._event(view) for view in await self._reader.mail(handler, process, after=after, limit=limit)]

    async def answer(self, about: int) -> EventView | None:
        """The answer to one event. Raises KeyMissing, SealBroken."""
        view = await self._reader.answer(about)
        return None if view is None else self._event(view)

    async def notes(self, topic: str, *, after: int = -1, newest_first: bool = False, limit: int = 100) -> list[Note]:
        """What the node keeps under this topic. Raises KeyMissing, SealBroken."""
        notes = await self._reader.notes(topic, after=after, newest_first=newest_first, limit=limit)
        if topic not in SEALED_TOPICS:
            return notes
        return [Note(n.topic, n.number, self._seal.open(n.body, "note", n.topic, n.number)) for n in notes]

    def _state(self, view: StateView) -> StateView:
        if view.data is None:
            return view
        data = self._seal.open(view.data, "state", view.state, view.key, view.version)
        return msgspec.structs.replace(view, data=data)

    async def state(self, state: str, key: str) -> StateView | None:
        """One keyed state. Raises KeyMissing, SealBroken."""
        view = await self._reader.state(state, key)
        return None if view is None else self._state(view)

    async def states(
        self, *, state: str | None = None, key: str | None = None, after: tuple[str, str] = ("", ""), limit: int = 100
    ) -> list[StateView]:
        """Keyed states in order. Raises KeyMissing, SealBroken."""
        return [self._state(view) for view in await self._reader.states(state=state, key=key, after=after, limit=limit)]
