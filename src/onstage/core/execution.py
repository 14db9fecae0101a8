"""One durable execution: decides, never acts.

Theory of operation. The runtime runs the user's handler; every durable call in it *asks* here, at a position taken
when the call was made. The answer is `Recorded` (replay: here is what happened), `Perform` (at the frontier: do it,
then *tell*), `Look` (see whether the mailbox has it), `Park` (nothing to do before a time or an event) or `Diverged`
(the code no longer asks what the journal recorded; nothing may be touched). What has been told leaves through
`take_entries` and is made durable in one commit.

New effects only at the frontier: a call at an unrecorded position, while recorded calls of its branch have not been
made again, is a divergence. A step that failed is remembered tentatively: it becomes an entry when its branch goes on
past it, and is forgotten when the failure leaves the handler, so that a retry opens it again. If the execution parks
before either, because of another branch, it is held in the journal, as open as before.

Each branch (`onstage.core.branches`) has a cursor; `enter` says in which of them calls are made from now on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never, final

from onstage.core.branches import Cursor, opening_of, path_of
from onstage.core.fork import key_holders, renewed_holders
from onstage.core.journal import (
    JOURNAL_ENTRIES_MAX,
    Asked,
    Attempted,
    CancelSeen,
    Continued,
    Entry,
    Failed,
    Forked,
    Held,
    Patched,
    Rejected,
    SleepOpened,
    Slept,
    TokenDrawn,
    Undone,
    WaitEnded,
    WaitOpened,
    is_final,
)
from onstage.core.renewal import Renewal, renewed
from onstage.core.requests import (
    PERFORM_FIRST,
    Answer,
    AskRequest,
    CancelAnswer,
    DivergedAnswer,
    EmitRequest,
    Look,
    ParkAnswer,
    RaceRequest,
    Recorded,
    Request,
    SleepRequest,
    StateReadRequest,
    StateRequest,
    StateWriteRequest,
    StepRequest,
    TransactionRequest,
    ValueRequest,
    WaitRequest,
    describe,
    fits,
    next_attempt,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Execution"]

_CANCEL: Final = CancelAnswer()
_NO_ENTRIES: Final[dict[str, Entry]] = {}
_NO_CANCELS: Final[dict[str, str]] = {}
_NOT_ASKED: Final = (Undone, Rejected, Patched, TokenDrawn, CancelSeen)


@final
class Execution:
    """The journal of one execution and the cursor over it. Holds no clock, store, loop or randomness."""

    __slots__ = (
        "_below", "_here", "_main", "_opened", "_pending", "_recorded", "cancels", "consumed", "key_holders", "length",
        "renewal",
    )  # fmt: skip

    def __init__(self, journal: Iterable[Entry] = ()) -> None:
        """Begin, or begin again on a recorded `journal`."""
        self._recorded: dict[str, Entry] = _NO_ENTRIES
        self._main = self._here = Cursor()
        self._below: dict[str, Cursor] | None = None
        self._opened: dict[str, int] | None = None
        self._pending: list[Entry] | None = None
        self.consumed: set[int] | None = None
        self.cancels: dict[str, str] = _NO_CANCELS  # where a branch was told of its end, by the branch's path
        self.renewal: Renewal | None = None
        self.key_holders: dict[str, str] = _NO_CANCELS  # whose steps those are that a fork has taken over
        self.length = 0
        if journal:
            self._index(journal)

    def _index(self, journal: Iterable[Entry]) -> None:
        self._recorded = {}
        self.consumed = set()
        for entry in journal:
            self.length += 1
            if isinstance(entry, Continued):
                self.renewal = renewed(self.renewal, self._recorded, entry, self.length)
                self._recorded = {}
                self.cancels = {"": ""} if "" in self.cancels else _NO_CANCELS
                self.key_holders = renewed_holders(self.key_holders, self.renewal)
                continue
            if isinstance(entry, Forked):
                self.key_holders = key_holders(entry, self._recorded, self.renewal, self.key_holders)
                continue
            self._recorded[entry.position] = entry
            if isinstance(entry, WaitEnded) and entry.event:
                self.consumed.add(entry.event)
            elif isinstance(entry, CancelSeen):
                self.cancels = {**self.cancels, entry.branch: entry.at}
        for position, entry in self._recorded.items():
            if not isinstance(entry, _NOT_ASKED) and not position.startswith("undo/"):
                self._expect(position)

    def _expect(self, position: str) -> None:
        path = path_of(position) if "/" in position else ""
        is_first = path != "" and self._cursor(path).unmade is None
        self._cursor(path).expect(position)
        if is_first:
            opening, number = opening_of(path)
            self._opened = self._opened or {}
            self._opened[opening] = max(number + 1, self._opened.get(opening, 0))
            self._expect(opening)

    def _cursor(self, path: str) -> Cursor:
        if not path:
            return self._main
        if self._below is None:
            self._below = {}
        cursor = self._below.get(path)
        if cursor is None:
            cursor = self._below[path] = Cursor(path)
        return cursor

    # Branches.

    def enter(self, path: str) -> None:
        """From now on calls are made in the branch with this path."""
        self._here = self._cursor(path)

    def open(self, path: str, under: str | None) -> None:
        """A branch begins; the one with the path `under` does not go on before it has ended."""
        self._cursor(path).under = None if under is None else self._cursor(under)

    def opened_at(self, position: str) -> int:
        """How many branches the journal has below the call at this position, at least."""
        return 0 if self._opened is None else self._opened.get(position, 0)

    def missing(self, path: str) -> str | None:
        """What the branch with this path has recorded and not asked again, as a text; None if nothing."""
        unmade = self._cursor(path).unmade
        return f"the branch {path[:-1]} ended, the journal also has {', '.join(sorted(unmade))}" if unmade else None

    def join(self, path: str, into: str) -> None:
        """The branch has ended, and the one that waited for it knows: what failed in it is now that one's to pass."""
        ended = self._cursor(path)
        if ended.tentative:
            failures, ended.tentative = ended.tentative, None
            for failure in failures:
                self._cursor(into).fails(failure)

    def pass_by(self, path: str) -> None:
        """The branch goes on past what failed in it: those failures are entries now."""
        self._went_past(self._cursor(path))

    def patched(self, change: str) -> tuple[bool, Entry | None]:
        """Whether this execution is on the new side of a change, and the entry to tell if that is decided only now.

        It is on the old side if it has passed this place before: recorded calls are still to come.
        """
        position = f"patch {change}"
        entry = self._recorded.get(position)
        if isinstance(entry, Patched):
            return entry.new, None
        decided = Patched(position, not self._here.is_behind)
        return decided.new, decided

    # What the handler calls.

    def make(self, name: str) -> str:
        """Take the position of a durable call that is being made now: its name and its occurrence."""
        here = self._here
        if here.tentative:
            self._went_past(here)
        return here.take(name)

    def ask(
        self, position: str, request: Request, now_ms: int, *, aside: bool = False, branch: str | None = None
    ) -> Answer:
        """What is to be done about the call at `position`: see the module's theory of operation.

        `branch` is the path of the branch that runs the call, if it was made in another one. `aside` says that the call
        runs beside the code of its branch: it was made before, so that it begins now does not tell that the code went
        on past anything.
        """
        below = self._below
        cursor = self._main if below is None else self._cursor(path_of(position) if branch is None else branch)
        if cursor.tentative and not aside:
            self._went_past(cursor)
        if self.cancels and position in self.cancels.values():
            return _CANCEL
        entry = self._recorded.get(position)
        if entry is None:
            if (cursor.unmade or cursor.under is not None) and cursor.is_behind:
                return self._diverged(position, f"asks for {position}, which is not in the journal")
        elif not fits(entry, request):
            return self._diverged(position, f"asks for {describe(request)}, the journal has {shown(entry)}")
        elif isinstance(entry, Held):
            return Recorded(_fails_again(cursor, entry))
        elif is_final(entry):
            return Recorded(entry)
        match request:
            case StepRequest():
                return PERFORM_FIRST if entry is None else next_attempt(entry, now_ms)
            case WaitRequest():
                return self._open_wait(position, entry, request, now_ms)
            case SleepRequest():
                return self._open_sleep(position, entry, request, now_ms)
            case AskRequest() if isinstance(entry, Asked):
                return Look(entry.due)
            case (
                TransactionRequest()
                | EmitRequest()
                | ValueRequest()
                | RaceRequest()
                | AskRequest()
                | StateRequest()
                | StateReadRequest()
                | StateWriteRequest()
            ):
                return PERFORM_FIRST
            case _:
                assert_never(request)

    def tell(self, entry: Entry, branch: str = "") -> None:
        """A durable call came to something. A failed step is kept back until its `branch` goes on past it."""
        if isinstance(entry, Failed):
            self._cursor(branch).fails(entry)
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
        if self._below is not None or self._main.tentative:
            for cursor in self._cursors():
                self._went_past(cursor)
        if self._main.unmade:
            return f"the handler returned, the journal also has {', '.join(sorted(self._main.unmade))}"
        return None

    def failed(self) -> None:
        """The handler raised: step failures that left it belong to this attempt; their steps open anew."""
        for failure in self._failures():
            if isinstance(self._recorded.get(failure.position), Attempted | Held):
                self._record(Attempted(failure.position, failure.arguments, 0, 0, failure.error, 0))

    def hold(self) -> None:
        """The handler parks. What failed beside it is kept, or its step would run again each time the handler does."""
        for failure in self._failures():
            if not isinstance(self._recorded.get(failure.position), Held):
                held = (failure.kind, failure.rebuilt_from, failure.error, failure.attempts)
                self._record(Held(failure.position, failure.arguments, *held))

    def untouched(self) -> Execution:
        """A journal of the same length that has nothing to say: for setting aside what has diverged."""
        same = Execution()
        same.length = self.length
        return same

    @property
    def is_full(self) -> bool:
        """Whether the journal has reached its limit, `JOURNAL_ENTRIES_MAX`."""
        begun_at = 0 if self.renewal is None else self.renewal.length
        return self.length - begun_at + len(self._pending or ()) >= JOURNAL_ENTRIES_MAX

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

    def fails_at(self, position: str) -> bool:
        """Whether the call at this position has failed, and the handler has not gone past that yet."""
        return any(failed.position == position for each in self._cursors() for failed in each.tentative or ())

    # Inside.

    def _record(self, entry: Entry) -> None:
        if self._recorded is _NO_ENTRIES:
            self._recorded = {}
        self._recorded[entry.position] = entry
        if isinstance(entry, WaitEnded) and entry.event:
            self.consumed = self.consumed or set()
            self.consumed.add(entry.event)
        elif isinstance(entry, CancelSeen):
            self.cancels = {**self.cancels, entry.branch: entry.at}
        if self._pending is None:
            self._pending = []
        self._pending.append(entry)

    def _cursors(self) -> Iterable[Cursor]:
        return (self._main,) if self._below is None else (self._main, *self._below.values())

    def _failures(self) -> list[Failed]:
        """Take out what no branch has gone past."""
        failures: list[Failed] = []
        for cursor in self._cursors():
            failures += cursor.tentative or ()
            cursor.tentative = None
        return failures

    def _went_past(self, cursor: Cursor) -> None:
        failures, cursor.tentative = cursor.tentative or (), None
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
        unmade = ", ".join(sorted(name for cursor in self._cursors() for name in cursor.unmade or ())) or "none"
        return DivergedAnswer(
            f"the code {what}\n  recorded:\n{recorded}\n  recorded but not asked again: {unmade}\n  at: {position}"
        )


def _fails_again(cursor: Cursor, held: Held) -> Failed:
    """The failure that was held, as open as it was: its branch has still to go on past it."""
    failed = Failed(held.position, held.arguments, held.kind, held.rebuilt_from, held.error, held.attempts)
    cursor.fails(failed)
    return failed
