"""What may be said about a process, from its ledger row and its open obligations.

| verdict | when |
|---|---|
| running | open obligations, at least one of them active |
| waiting | every open obligation is in a wait, a sleep or a retry, or of a paused handler: for what, until when |
| stuck | an open obligation is set aside (a dead letter, or diverged), or queues behind such a one of its key |
| completed | nothing is open and a declared outcome occurred |
| dead end | nothing is open and no declared outcome occurred: the last events, and why nothing followed |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, final

from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Blocker", "LastEvent", "OpenObligation", "Pause", "Verdict", "judge"]

_PARKED: Final = (Status.WAITING, Status.RETRYING)
_ASIDE: Final = (Status.PARKED, Status.DIVERGED)

VerdictStatus = Literal["running", "waiting", "stuck", "completed", "dead end"]


@final
@dataclass(frozen=True, slots=True)
class Blocker:
    """An execution that was set aside and keeps its lane closed: of which process, how, since when (ms), why."""

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
class LastEvent:
    """An event from which nothing followed: the handlers that settled it, and what those said that rejected it."""

    type: str
    handled_by: tuple[str, ...]
    rejected_by: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a process stands. `reasons` say it in words, one line each; `until` is the nearest due time, if any."""

    status: VerdictStatus
    outcome: str | None = None
    reasons: tuple[str, ...] = ()
    until: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing of the process is in flight anywhere."""
        return self.status in ("completed", "dead end")

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


def _ended(outcome: str | None, last_events: Sequence[LastEvent]) -> Verdict:
    if outcome is not None:
        return Verdict("completed", outcome)
    return Verdict("dead end", None, tuple(_why_ended(event) for event in last_events))


def _why_ended(event: LastEvent) -> str:
    if not event.handled_by and not event.rejected_by:
        return f"{event.type}: no handler"
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
