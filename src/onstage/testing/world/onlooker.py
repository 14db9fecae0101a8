"""The onlooker: stands outside the system, looks at the file through a connection of its own, and keeps records.

It believes nothing that the engine says. What it finds wrong at once goes into `violations`; what can only be told at
the end is for `invariants`. It also derives the *marks*: rare situations of which a run of many worlds should have seen
each one at least sometimes.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.core.commit import RefusedBecause, event_of, handler_of
from onstage.core.journal import Rejected, Slept, Undone, WaitEnded, WaitOpened
from onstage.events.receipt import OPEN_MAX, Status
from onstage.testing.checks.acknowledgements import is_durable
from onstage.testing.checks.step_calls import is_over, since_renewal
from onstage.testing.checks.stored_payloads import recorded
from onstage.testing.checks.told_verdicts import truths

if TYPE_CHECKING:
    import apsw

    from onstage.core.commit import Commit
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import BatchOutcome

__all__ = ["DIVERGING", "MARKS", "Onlooker"]

DIVERGING: Final = "road.travel"
"""The handler that has versions: whose journal fits which is not recorded."""

MARKS: Final = (
    "a commit was felled with what it followed from",
    "a commit conflicted",
    "a user's transaction was refused",
    "a commit of a stale epoch was refused",
    "a duplicate was found by the writer",
    "a duplicate was found at the door",
    "another payload under a known id was refused",
    "a commit of unknown outcome had happened",
    "a commit of unknown outcome had not happened",
    "a client was refused because the store was in trouble",
    "a client's answer was lost with the node",
    "open work was taken up after a start",
    "a waiting execution was taken up after a start",
    "a dead letter was taken up after a start",
    "a wait was answered",
    "a wait was answered by mail from before it",
    "a wait timed out",
    "a sleep was over late, the node was down",
    "an execution was rejected",
    "a step was undone",
    "an undo began in one life and ended in another",
    "a dead letter was retried",
    "a dead letter was dropped",
    "a diverged execution was resumed",
    "a spoilt payload was set aside",
    "a step was called again, its effect had happened",
    "an event joined a finished process",
    "a verdict: completed",
    "a verdict: dead end",
    "a verdict: waiting",
    "a verdict: running",
    "a verdict: stuck",
)


@final
class Onlooker:
    """One for each world. `open` it on each file anew."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.violations: list[str] = []
        self.marks: set[str] = set()
        self.acknowledged: dict[bytes, tuple[str, str]] = {}  # identity at the door -> public process id, what it was
        self.results: dict[str, set[bytes]] = {}  # public id of a start -> what its result was said to be
        self.poisoned: set[int] = set()
        self.aside: set[int] = set()  # executions that were ever set aside
        self.dropped: set[int] = set()
        self.ended_s: dict[int, float] = {}  # when an execution came to its end, as far as the node knew
        self.commits = 0
        self._latest_ms = 0
        self._dues: dict[tuple[int, str], int] = {}
        self._lives_of_undo: dict[int, int] = {}
        self.life = 0
        self._connection: apsw.Connection | None = None
        self._trace = blake2b(digest_size=16)

    def open(self, connection: apsw.Connection) -> None:
        """Look through this connection from now on."""
        self.close()
        self._connection = connection

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None

    def rows(self, sql: str, *bindings: Any) -> list[tuple[Any, ...]]:
        """What is durable now."""
        assert self._connection is not None, "a file is looked at"
        return self._connection.execute(sql, bindings).fetchall()

    def complain(self, invariant: str, what: str) -> None:
        """Something does not hold."""
        self.violations.append(f"{invariant}: {what}")

    def note(self, *what: Any) -> None:
        """Add to the trace."""
        self._trace.update(msgspec.msgpack.encode(what))

    @property
    def trace_hash(self) -> str:
        """The hash of everything that happened so far, in order."""
        return self._trace.hexdigest()

    # What it hears of.

    def called(self, execution: int, position: str) -> None:
        """A step or an undo is about to run: its cause must be on disk, and its result must not."""
        self.note("step", execution, position)
        if not self.rows("select 1 from onstage_execution where id = ?", execution):
            self.complain("barrier", f"{position} of execution {execution} runs, and its cause is not durable")
        journal = self.rows("select body from onstage_entry where execution = ? order by place", execution)
        if is_over(since_renewal(recorded(body) for (body,) in journal), position):
            self.complain("I3", f"{position} of execution {execution} runs again, its result was recorded")

    def appended(self, commit: Commit, now_ms: int, at_s: float = 0.0) -> None:
        """The node appends a commit, at this time of the loop: nothing in it may be ahead of its time."""
        if commit.execution and commit.status > OPEN_MAX:
            self.ended_s[commit.execution] = at_s
        self.commits += 1
        self._latest_ms = max(self._latest_ms, now_ms)
        events = [(event.n, event.data) for event in commit.events]
        self.note("commit", commit.execution, commit.status, commit.expected, len(commit.entries), events)
        if commit.execution and commit.status == Status.DIVERGED:
            self._diverged(commit.execution)
        for entry in commit.entries:
            due = getattr(entry, "due", None)
            place = (commit.execution, entry.position)
            if due is not None:
                self._dues[place] = due
            elif isinstance(entry, Slept) or (isinstance(entry, WaitEnded) and not entry.event):
                self._in_time(place, entry, now_ms)
            if isinstance(entry, WaitEnded) and entry.event:
                self.marks.add("a wait was answered")
                if any(isinstance(e, WaitOpened) and e.position == entry.position for e in commit.entries):
                    self.marks.add("a wait was answered by mail from before it")
            elif isinstance(entry, Rejected):
                self._lives_of_undo[commit.execution] = self.life
            elif isinstance(entry, Undone):
                self._undone(commit.execution)

    def _diverged(self, execution: int) -> None:
        ((name,),) = self.rows("select name from onstage_handler where id = ?", handler_of(execution))
        if name != DIVERGING:
            self.complain("I13", f"execution {execution} of {name} has diverged, and its code fits")

    def _in_time(self, place: tuple[int, str], entry: Slept | WaitEnded, now_ms: int) -> None:
        due = self._dues.get(place)
        # What ends in a branch may be committed later, with another's call, and the clock be set back in between.
        latest_ms = self._latest_ms if "/" in place[1] else now_ms
        if due is not None and latest_ms < due:
            self.complain("I8", f"{place[1]} of execution {place[0]} was over {due - now_ms} ms early")
        if isinstance(entry, WaitEnded):
            self.marks.add("a wait timed out")
            mail = (
                "select m.n from onstage_mail m join onstage_execution x on x.process = m.process"
                " where x.id = ? and m.handler = ? and m.about = 0"
            )
            if unread := self.rows(mail, place[0], handler_of(place[0])):
                self.complain("I1", f"{place[1]} of execution {place[0]} timed out, event {unread[0][0]} was there")
        elif due is not None and now_ms > due + 1000:
            self.marks.add("a sleep was over late, the node was down")

    def _undone(self, execution: int) -> None:
        self.marks.add("a step was undone")
        if self._lives_of_undo.get(execution, self.life) != self.life:
            self.marks.add("an undo began in one life and ended in another")

    def batch(self, outcome: BatchOutcome) -> None:
        """The node is told what became of a batch."""
        for refusal in outcome.refused:
            self.marks.add(_REFUSED[refusal.because])

    def set_aside(self, execution: int, error: str) -> None:
        """An execution was found set aside."""
        self.aside.add(execution)
        if error.startswith("poison"):
            self.marks.add("a spoilt payload was set aside")
            if event_of(execution) not in self.poisoned:
                self.complain("I1", f"execution {execution} was set aside as poison, and nobody spoilt it: {error}")

    def started(self) -> None:
        """A node is about to take up what is open."""
        for (status,) in self.rows("select distinct status from onstage_execution where status <= ?", OPEN_MAX):
            self.marks.add("open work was taken up after a start")
            if status == Status.WAITING:
                self.marks.add("a waiting execution was taken up after a start")
            elif status == Status.PARKED:
                self.marks.add("a dead letter was taken up after a start")

    def answered(self, identity: bytes, process: str, what: str) -> None:
        """A client was told that its event is stored: it must be on disk at this very moment."""
        self.note("answer", what, process)
        if not is_durable(self.rows, identity):
            self.complain("I10", f"{what} was acknowledged, and is not on disk")
        known = self.acknowledged.setdefault(identity, (process, what))
        if known[0] != process:
            self.complain("I10", f"{what} was acknowledged as part of {known[0]} and of {process}")

    def told(self, process: str, verdict: Verdict, before: set[str]) -> None:
        """A client was told a verdict; `before` is what was true when it asked."""
        self.note("verdict", process, verdict.status)
        self.marks.add(f"a verdict: {verdict.status}")
        true = truths(self.rows, process)
        if verdict.status not in true | before:
            self.complain("I7", f"process {process} is {' or '.join(sorted(true))}, and was said to be {verdict}")


_REFUSED: Final = {
    RefusedBecause.FELLED: "a commit was felled with what it followed from",
    RefusedBecause.CONFLICT: "a commit conflicted",
    RefusedBecause.STALE_EPOCH: "a commit of a stale epoch was refused",
    RefusedBecause.DUPLICATE: "a duplicate was found by the writer",
    RefusedBecause.USER: "a user's transaction was refused",
}
