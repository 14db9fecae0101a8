"""One durable execution: decides, never acts.

Theory of operation. The runtime runs the user's handler; every durable call in it *asks* here, at a position taken
when the call was made. The answer is `Recorded` (replay: here is what happened), `Perform` (at the frontier: do it,
then *tell*), `Look` (see whether the mailbox has it), `Park` (nothing to do before a time or an event) or `Diverged`
(the code no longer asks what the journal recorded; nothing may be touched). What has been told leaves through
`take_entries` and is made durable in one commit.

New effects only at the frontier: a call at an unrecorded position, while recorded calls of the journal have not been
made again, is a divergence. A step that failed is remembered tentatively: it becomes an entry when the handler goes
on past it, and is forgotten when the failure leaves the handler, so that a retry opens it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never, final

import msgspec

from onstage.core.journal import (
    JOURNAL_ENTRIES_MAX,
    Asked,
    Attempted,
    Begun,
    CancelSeen,
    Continued,
    Entry,
    Failed,
    Rejected,
    SleepOpened,
    Slept,
    StateSet,
    Stepped,
    Undone,
    WaitEnded,
    WaitOpened,
    is_final,
)
from onstage.core.requests import (
    Answer,
    AskRequest,
    CancelAnswer,
    DivergedAnswer,
    EmitRequest,
    Look,
    ParkAnswer,
    Perform,
    Recorded,
    Request,
    SleepRequest,
    StateRequest,
    StepRequest,
    TransactionRequest,
    ValueRequest,
    WaitRequest,
    describe,
    fits,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Execution"]

_PERFORM_FIRST: Final = Perform(1, begun=False)
_CANCEL: Final = CancelAnswer()
_NO_ENTRIES: Final[dict[str, Entry]] = {}


@final
class Execution:
    """The journal of one execution and the cursor over it. Holds no clock, store, loop or randomness."""

    __slots__ = (
        "_begun_at", "_occurrences", "_pending", "_recorded", "_tentative", "_unmade", "before", "cancelled_at",
        "consumed", "continued", "length", "shown_before",
    )  # fmt: skip

    def __init__(self, journal: Iterable[Entry] = ()) -> None:
        """Begin, or begin again on a recorded `journal`."""
        self._recorded: dict[str, Entry] = _NO_ENTRIES
        self._unmade: set[str] | None = None
        self._occurrences: dict[str, int] | None = None
        self._pending: list[Entry] | None = None
        self._tentative: list[Failed] | None = None
        self.consumed: set[int] | None = None
        self.cancelled_at: str | None = None
        self.continued: Continued | None = None
        self.before: tuple[Stepped, ...] = ()  # steps with an undo, of the journal before it began anew
        self.shown_before: dict[str, bytes] = {}
        self._begun_at = 0
        self.length = 0
        if journal:
            self._index(journal)

    def _index(self, journal: Iterable[Entry]) -> None:
        self._recorded = {}
        self.consumed = set()
        for entry in journal:
            self.length += 1
            if isinstance(entry, Continued):
                self._begin_anew(entry)
                continue
            self._recorded[entry.position] = entry
            if isinstance(entry, WaitEnded) and entry.event:
                self.consumed.add(entry.event)
            if isinstance(entry, CancelSeen):
                self.cancelled_at = entry.at
        undoing = (Undone, Rejected, CancelSeen)
        self._unmade = {
            position
            for position, entry in self._recorded.items()
            if not isinstance(entry, undoing) and not position.startswith("undo/")
        }

    def _begin_anew(self, entry: Continued) -> None:
        """Keep of what is recorded what outlives it: undo, what was taken and shown, and that a cancel was seen."""
        for earlier in self._recorded.values():
            if isinstance(earlier, Stepped) and earlier.undo is not None:
                renamed = msgspec.structs.replace(earlier, position=f"{self.length}/{earlier.position}")
                self.before = (*self.before, renamed)
            if isinstance(earlier, StateSet):
                self.shown_before[earlier.key] = earlier.value
        self._recorded = {}
        self.continued, self._begun_at = entry, self.length
        if self.cancelled_at is not None:
            self.cancelled_at = ""  # seen, at no call of the new journal

    # What the handler calls.

    def make(self, name: str) -> str:
        """Take the position of a durable call that is being made now: its name and its occurrence."""
        occurrences = self._occurrences
        if occurrences is None:
            occurrences = self._occurrences = {}
        occurrence = occurrences.get(name, 0)
        occurrences[name] = occurrence + 1
        position = f"{name}#{occurrence}"
        if self._tentative:
            self._went_past()
        if self._unmade:
            self._unmade.discard(position)
        return position

    def ask(self, position: str, request: Request, now_ms: int, *, aside: bool = False) -> Answer:
        """What is to be done about the call at `position`: see the module's theory of operation.

        `aside` says that the call runs beside the handler, in a branch: it was made before, so that it begins now does
        not tell that the handler went on past anything.
        """
        if self._tentative and not aside:
            self._went_past()
        if self.cancelled_at == position:
            return _CANCEL
        entry = self._recorded.get(position)
        if entry is None and self._unmade:
            return self._diverged(position, f"asks for {position}, which is not in the journal")
        if entry is not None and not fits(entry, request):
            return self._diverged(position, f"asks for {describe(request)}, the journal has {shown(entry)}")
        if entry is not None and is_final(entry):
            return Recorded(entry)
        match request:
            case StepRequest():
                return _next_attempt(entry, now_ms)
            case WaitRequest():
                return self._open_wait(position, entry, request, now_ms)
            case SleepRequest():
                return self._open_sleep(position, entry, request, now_ms)
            case AskRequest() if isinstance(entry, Asked):
                return Look(entry.due)
            case TransactionRequest() | EmitRequest() | ValueRequest() | AskRequest() | StateRequest():
                return _PERFORM_FIRST
            case _:
                assert_never(request)

    def tell(self, entry: Entry) -> None:
        """A durable call came to something. A failed step is kept back until the handler goes on past it."""
        if isinstance(entry, Failed):
            if self._tentative is None:
                self._tentative = []
            self._tentative.append(entry)
            return
        self._record(entry)

    # What the runtime takes.

    @property
    def has_pending(self) -> bool:
        """Whether anything was told that is not yet in a commit."""
        return bool(self._pending)

    def take_entries(self) -> tuple[Entry, ...]:
        """All entries told since the last call, in order; the journal is longer by them from now on."""
        if not self._pending:
            return ()
        taken = tuple(self._pending)
        self._pending = None
        self.length += len(taken)
        return taken

    def reserve(self) -> None:
        """A transaction's entry is written by the store, in this execution's next commit: count it now."""
        self.length += 1

    def unreserve(self) -> None:
        """The transaction was refused: its entry was not written."""
        self.length -= 1

    def committed(self, entry: Entry) -> None:
        """The store wrote this entry itself: it is recorded, and not pending."""
        self._record(entry)
        assert self._pending is not None, "it was recorded just now"
        self._pending.pop()

    def ended(self) -> str | None:
        """The handler returned. Its tentative failures become entries; a text says what it failed to ask again."""
        if self._tentative:
            self._went_past()
        if self._unmade:
            missing = ", ".join(sorted(self._unmade))
            return f"the handler returned, the journal also has {missing}"
        return None

    def failed(self) -> None:
        """The handler raised: step failures that left it belong to this attempt; their steps open anew."""
        failures, self._tentative = self._tentative or [], None
        for failure in failures:
            if isinstance(self._recorded.get(failure.position), Attempted):
                self._record(Attempted(failure.position, failure.arguments, 0, 0, failure.error, 0))

    def untouched(self) -> Execution:
        """A journal of the same length that has nothing to say: for setting aside what has diverged."""
        same = Execution()
        same.length = self.length
        return same

    @property
    def is_full(self) -> bool:
        """Whether the journal has reached its limit, `JOURNAL_ENTRIES_MAX`."""
        return self.length - self._begun_at + len(self._pending or ()) >= JOURNAL_ENTRIES_MAX

    @property
    def rejected(self) -> Rejected | None:
        """The recorded rejection: from then on the execution only undoes."""
        entry = self._recorded.get("reject")
        return entry if isinstance(entry, Rejected) else None

    def entries(self) -> tuple[Entry, ...]:
        """The latest entry of every position, in the order in which the positions were first recorded."""
        return tuple(self._recorded.values())

    def at(self, position: str) -> Entry | None:
        """The latest entry at this position."""
        return self._recorded.get(position)

    # Inside.

    def _record(self, entry: Entry) -> None:
        if self._recorded is _NO_ENTRIES:
            self._recorded = {}
        self._recorded[entry.position] = entry
        if isinstance(entry, WaitEnded) and entry.event:
            self.consumed = self.consumed or set()
            self.consumed.add(entry.event)
        if isinstance(entry, CancelSeen):
            self.cancelled_at = entry.at
        if self._pending is None:
            self._pending = []
        self._pending.append(entry)

    def _went_past(self) -> None:
        failures, self._tentative = self._tentative or [], None
        for failure in failures:
            self._record(failure)

    def _open_wait(self, position: str, entry: Entry | None, request: WaitRequest, now_ms: int) -> Look:
        if isinstance(entry, WaitOpened):
            return Look(entry.due)
        due = None if request.timeout_ms is None else now_ms + request.timeout_ms
        self._record(WaitOpened(position, request.types, due))
        return Look(due)

    def _open_sleep(
        self, position: str, entry: Entry | None, request: SleepRequest, now_ms: int
    ) -> ParkAnswer | Recorded:
        if entry is None:
            entry = SleepOpened(position, now_ms + request.duration_ms)
            self._record(entry)
        assert isinstance(entry, SleepOpened), "`fits` lets only a sleep through"
        if entry.due > now_ms:
            return ParkAnswer(entry.due)
        slept = Slept(position)
        self._record(slept)
        return Recorded(slept)

    def _diverged(self, position: str, what: str) -> DivergedAnswer:
        recorded = "\n".join(f"    {shown(entry)}" for entry in self._recorded.values())
        unmade = ", ".join(sorted(self._unmade or ())) or "none"
        return DivergedAnswer(
            f"the code {what}\n  recorded:\n{recorded}\n  recorded but not asked again: {unmade}\n  at: {position}"
        )


def _next_attempt(entry: Entry | None, now_ms: int) -> Perform | ParkAnswer:
    match entry:
        case Attempted():
            if entry.due > now_ms:
                return ParkAnswer(entry.due)
            return Perform(entry.attempts + 1, begun=True, first=entry.first)
        case Begun():
            return Perform(1, begun=True)
        case _:
            return _PERFORM_FIRST
