"""What may be said about a process, from its ledger row and its open obligations.

| verdict | when |
|---|---|
| running | open obligations, at least one of them active |
| waiting | every open obligation is in a wait, a sleep or a retry, or of a paused handler: for what, until when |
| stuck | an open obligation is set aside (a dead letter, or diverged), or queues behind such a one of its key |
| stuck | likewise, while something is open: a milestone or the deadline is overdue |
| completed | nothing is open and a declared outcome occurred |
| dead end | nothing is open and no declared outcome occurred: the last events, and why nothing followed |
| compensating | it is being undone: why, and what of it is under way |
| stuck | likewise, while an undo is set aside |
| compensated | all that was done in it is undone, or mended by hand; with residue: but for what was given up |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, final

from onstage.events.answer import ANSWER_PREFIX
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Blocker",
    "LastEvent",
    "OpenObligation",
    "Overdue",
    "Pause",
    "Undone",
    "Verdict",
    "Violated",
    "judge",
    "overdue_too",
    "resolution",
    "undone_too",
    "violated_too",
]

_PARKED: Final = (Status.WAITING, Status.RETRYING)
_ASIDE: Final = (Status.PARKED, Status.DIVERGED)

VerdictStatus = Literal[
    "running", "waiting", "stuck", "completed", "dead end", "compensating", "compensated", "compensated with residue"
]
_FINAL: Final = ("completed", "dead end", "compensated", "compensated with residue")


@final
@dataclass(frozen=True, slots=True)
class Blocker:
    """An execution that keeps its lane closed: of which process, how, since when (ms), why.

    It was set aside, or waits for what is behind it.
    """

    process: str
    status: Status
    since: int
    error: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Pause:
    """A handler or service that begins nothing: since when (ms), by whom, and why if they said so."""

    since: int
    by: str
    why: str | None = None

    def __str__(self) -> str:
        """Since when and by whom."""
        return f"{_moment(self.since)} by {self.by}{f': {self.why}' if self.why else ''}"


@final
@dataclass(frozen=True, slots=True)
class OpenObligation:
    """One open obligation: its handler, status, awaited event types, when it is due (ms) and its error.

    `behind` is what keeps its lane closed, if anything that was set aside does. `paused` is the pause of its handler.
    """

    handler: str
    status: Status
    waits: tuple[str, ...] = ()
    due: int | None = None
    error: str | None = None
    live: bool = True
    behind: Blocker | None = None
    paused: Pause | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether nothing happens before something comes, is due, or is resumed."""
        return self.status in _PARKED or (self.status is Status.READY and (self.paused or self.due) is not None)


@final
@dataclass(frozen=True, slots=True)
class Overdue:
    """A milestone that did not come by `due` (ms), and the services that owe it; None for the deadline of the whole."""

    milestone: str | None
    due: int
    owed_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What is late, since when, and whose it is."""
        if self.milestone is None:
            return f"no outcome by the deadline, {_moment(self.due)}"
        owing = f", owed by {' or '.join(self.owed_by)}" if self.owed_by else ""
        return f"{self.milestone} is overdue since {_moment(self.due)}{owing}"


@final
@dataclass(frozen=True, slots=True)
class Violated:
    """A rule that a process broke, as it was written: since when, why, and the events that broke it."""

    rule: str
    at: datetime
    because: str

    def __str__(self) -> str:
        """What was expected, and what happened."""
        return f"violates {self.rule}: {self.because}"


@final
@dataclass(frozen=True, slots=True)
class Undone:
    """That a process is undone, or was: the `state` in a word, why, since when (ms), and what was given up.

    `resolved` says when and by whom that was mended by hand.
    """

    state: str
    reason: str
    since: int
    residue: tuple[str, ...] = ()
    resolved: str = ""


@final
@dataclass(frozen=True, slots=True)
class LastEvent:
    """An event from which nothing followed: the handlers that settled it, and what those said that rejected it."""

    type: str
    handled_by: tuple[str, ...]
    rejected_by: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a process stands. `reasons` say it in words, one line each; `until` is the nearest due time, if any.

    `violated` are the rules that it broke, whatever else becomes of it; the reasons name them too.
    """

    status: VerdictStatus
    outcome: str | None = None
    reasons: tuple[str, ...] = ()
    until: datetime | None = None
    violated: tuple[Violated, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing of the process is in flight anywhere."""
        return self.status in _FINAL

    def __str__(self) -> str:
        """The verdict in one line."""
        head = f"{self.status} ({self.outcome})" if self.outcome else self.status
        return f"{head}: {'; '.join(self.reasons)}" if self.reasons else head


def judge(
    open_obligations: Sequence[OpenObligation], outcome: str | None, last_events: Sequence[LastEvent] = ()
) -> Verdict:
    """The verdict on a process: pure, so that the same facts always give the same word."""
    if not open_obligations:
        return _ended(outcome, last_events)
    aside = [o for o in open_obligations if o.status in _ASIDE or not o.live or o.behind is not None]
    if aside:
        return Verdict("stuck", outcome, tuple(_why_stuck(o) for o in aside))
    dues = [o.due for o in open_obligations if o.due is not None]
    until = datetime.fromtimestamp(min(dues) / 1000, UTC) if dues else None
    if all(o.is_waiting for o in open_obligations):
        return Verdict("waiting", outcome, tuple(_why_waiting(o) for o in open_obligations), until)
    active = [o for o in open_obligations if not o.is_waiting]
    reasons = tuple(f"{o.handler} is {o.status.label}{_paused(o)}" for o in active)
    return Verdict("running", outcome, reasons, until)


def resolution(at_ms: int, by: str, note: str) -> str:
    """How residue was mended, in words."""
    return f"{_moment(at_ms)}{f' by {by}' if by else ''}{f': {note}' if note else ''}"


def overdue_too(otherwise: Verdict, overdue: Sequence[Overdue]) -> Verdict:
    """The verdict on a process of which this is overdue besides; the same if nothing is."""
    if not overdue:
        return otherwise
    return Verdict("stuck", otherwise.outcome, (*map(str, overdue), *otherwise.reasons), otherwise.until)


def undone_too(undone: Undone, open_obligations: Sequence[OpenObligation], *, is_whole: bool = True) -> Verdict:
    """The verdict on a process that is undone, or was, and of which this is open.

    Unless it `is_whole`, parts of it are in other stores, or on their way: then it has not come to its end.
    """
    if undone.state == "compensated" and is_whole:
        return Verdict("compensated", None, (undone.reason,))
    if undone.resolved:
        return Verdict("compensated", None, (undone.reason, f"residue resolved {undone.resolved}", *undone.residue))
    if undone.state == "compensated with residue" and is_whole:
        return Verdict("compensated with residue", None, (undone.reason, *undone.residue))
    if undone.state == "undecided":
        return Verdict("running", None, (f"{undone.reason}: whether it is undone, its owner has not said yet",))
    reason = f"undone since {_moment(undone.since)}: {undone.reason}"
    elsewhere = () if is_whole else ("parts of it are in other services, or on their way",)
    now = judge(open_obligations, None) if open_obligations else Verdict("running", None, elsewhere)
    status: VerdictStatus = "stuck" if now.status == "stuck" else "compensating"
    return Verdict(status, None, (reason, *now.reasons), now.until)


def violated_too(otherwise: Verdict, violated: Sequence[Violated]) -> Verdict:
    """The verdict on a process that broke these rules; the same if there are none. The status does not change by it."""
    if not violated:
        return otherwise
    return replace(otherwise, reasons=(*otherwise.reasons, *map(str, violated)), violated=tuple(violated))


def _ended(outcome: str | None, last_events: Sequence[LastEvent]) -> Verdict:
    if outcome is not None:
        return Verdict("completed", outcome)
    return Verdict("dead end", None, tuple(_why_ended(event) for event in last_events))


def _why_ended(event: LastEvent) -> str:
    if not event.handled_by and not event.rejected_by:
        asked = event.type.removeprefix(ANSWER_PREFIX)
        return f"{event.type}: no handler" if asked == event.type else f"{asked}: answered, and nothing followed"
    said = list(event.rejected_by)
    if event.handled_by:
        said.append(f"{' and '.join(event.handled_by)} returned nothing")
    return f"{event.type}: {', '.join(said)}"


def _why_stuck(obligation: OpenObligation) -> str:
    if not obligation.live:
        return f"{obligation.handler}: no live node has this handler"
    if obligation.behind is not None:
        return f"{obligation.handler} is {obligation.status.label} behind {_shown(obligation.behind)}"
    first = (obligation.error or "").partition("\n")[0]
    return f"{obligation.handler} is a {obligation.status.label}: {first}".replace("a diverged", "diverged")


def _shown(blocker: Blocker) -> str:
    if blocker.status is Status.WAITING:
        return "an execution that it comes from: that waits, and holds the lane (a lane cycle) until its timeout"
    kind = "a dead letter" if blocker.status is Status.PARKED else "a diverged execution"
    first = (blocker.error or "").partition("\n")[0]
    return f"{kind} of process {blocker.process} since {_moment(blocker.since)}: {first}"


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _paused(obligation: OpenObligation) -> str:
    return "" if obligation.paused is None else f" (paused since {obligation.paused})"


def _why_waiting(obligation: OpenObligation) -> str:
    if obligation.status is Status.READY and obligation.paused is not None:
        return f"{obligation.handler} is paused since {obligation.paused}"
    return f"{_awaited(obligation)}{_paused(obligation)}"


def _awaited(obligation: OpenObligation) -> str:
    until = ""
    if obligation.due is not None:
        until = f" until {_moment(obligation.due)}"
    if obligation.status is Status.RETRYING:
        return f"{obligation.handler} tries again{until.replace(' until', ' at')}"
    if obligation.status is Status.READY:
        return f"{' and '.join(obligation.waits) or 'a delayed event'} comes{until.replace(' until', ' at')}"
    if obligation.waits:
        return f"{obligation.handler} waits for {' or '.join(obligation.waits)}{until}"
    return f"{obligation.handler} sleeps{until}"
