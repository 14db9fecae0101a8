"""What the web UI shows, as plain values: the JSON API sends them, the pages draw them.

Times are milliseconds since the epoch (`_ms`), payloads are JSON text with secrets masked, `process` is a public id.
Everything here was written by somebody else: a page shows it as text, never as markup.
"""

from __future__ import annotations

from typing import Literal, final

import msgspec

from onstage.web.shown_wave import WavePane

__all__ = [
    "Action",
    "AttentionPage",
    "EventNode",
    "ExecutionBar",
    "ExecutionPage",
    "Expected",
    "Fold",
    "JournalLine",
    "Milestone",
    "Need",
    "PlanPage",
    "ProcessFilter",
    "ProcessHead",
    "ProcessPage",
    "ProcessRef",
    "ProcessRow",
    "ProcessesPage",
    "Shown",
    "Standing",
    "StateLine",
    "StepBar",
    "VerdictCount",
    "Violation",
]

Action = Literal["retry", "drop", "cancel", "terminate", "pause", "resume", "emit", "undo", "resolve"]
NeedKind = Literal[
    "dead letter",
    "diverged",
    "no handler",
    "contract",
    "overdue",
    "violated",
    "dead end",
    "late timer",
    "lag",
    "paused",
    "residue",
]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What all of them are."""


@final
class Standing(Shown, frozen=True, kw_only=True):
    """The store that one looks at. `kind` is "whole", "part" or "view"; `note` is what one has to know about it.

    With `acts` false nothing can be changed from here, and `note` or `why_not` says why.
    """

    store: str
    kind: str
    running: bool
    acts: bool
    now_ms: int
    note: str | None = None
    why_not: str | None = None


@final
class ProcessRef(Shown, frozen=True, kw_only=True):
    """A process, named: its public id, its business key, its declared name or the type of its first event."""

    process: str
    key: str | None
    type: str


# Attention.


@final
class Need(Shown, frozen=True, kw_only=True):
    """One thing that needs somebody: of which kind, where, what, how often, since when; what can be done about it.

    `title` is the exception's first line or the fact in words. `executions` are those that an action is for (the
    oldest, at most `NEED_EXECUTIONS_MAX`; `count` is of all). `samples` are some of the processes. `type` is the event
    type whose contract was broken.
    """

    kind: NeedKind
    service: str
    handler: str | None
    title: str
    count: int
    since_ms: int
    newest_ms: int
    samples: tuple[ProcessRef, ...] = ()
    executions: tuple[int, ...] = ()
    actions: tuple[Action, ...] = ()
    verdict: str | None = None
    type: str | None = None


@final
class AttentionPage(Shown, frozen=True, kw_only=True):
    """What needs somebody, the gravest kind first; empty means that nothing does. `counts` is by verdict."""

    standing: Standing
    needs: tuple[Need, ...]
    counts: tuple[VerdictCount, ...]
    more: bool = False


# Processes.


@final
class VerdictCount(Shown, frozen=True, kw_only=True):
    """How many processes have a verdict; with `more` at least so many: counting ends at `COUNTED_MAX`."""

    verdict: str
    count: int
    more: bool = False


@final
class ProcessFilter(Shown, frozen=True, kw_only=True):
    """What is listed: `q` is a business key or public id (a prefix of a key finds too), the rest narrows."""

    q: str | None = None
    verdict: str | None = None
    type: str | None = None
    handler: str | None = None
    error: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@final
class ProcessRow(Shown, frozen=True, kw_only=True):
    """One process in a list. `now` is where it is, in one line; `until_ms` the nearest due time, if any."""

    process: str
    key: str | None
    type: str
    declared: str | None
    verdict: str
    outcome: str | None
    now: str
    until_ms: int | None
    open: int
    started_ms: int
    ended_ms: int | None
    violated: tuple[str, ...] = ()


@final
class ProcessesPage(Shown, frozen=True, kw_only=True):
    """A page of processes, the newest first. `next` is the cursor of the page behind it, None at the end."""

    standing: Standing
    filter: ProcessFilter
    rows: tuple[ProcessRow, ...]
    counts: tuple[VerdictCount, ...]
    types: tuple[str, ...]
    next: str | None = None


# One process.


@final
class ProcessHead(Shown, frozen=True, kw_only=True):
    """A process and its verdict. `reasons` say it in words, one line each; `others` have the same key."""

    process: str
    number: int
    key: str | None
    type: str
    declared: str | None
    verdict: str
    outcome: str | None
    reasons: tuple[str, ...]
    until_ms: int | None
    open: int
    started_ms: int
    ended_ms: int | None
    others: tuple[ProcessRef, ...] = ()


@final
class Milestone(Shown, frozen=True, kw_only=True):
    """A milestone, or with None the deadline. `state`: "in time", "late", "overdue", "open" or "not needed"."""

    milestone: str | None
    due_ms: int
    came_ms: int | None
    state: str


@final
class Violation(Shown, frozen=True, kw_only=True):
    """A rule that the process broke: since when, and why."""

    rule: str
    at_ms: int
    because: str


@final
class Expected(Shown, frozen=True, kw_only=True):
    """An event that has not come: who waits for it (or is to emit it), until when. The missing event can be emitted."""

    type: str
    kind: Literal["wait", "milestone", "emits"]
    handler: str | None
    execution: int | None
    until_ms: int | None
    from_outside: bool


@final
class EventNode(Shown, frozen=True, kw_only=True):
    """One event. `cause` is the execution that emitted it, 0 for one from outside; `data` its payload as text.

    `truncated` if the payload is longer than what is shown. `headers` are CloudEvents attributes, as text.
    """

    n: int
    id: str
    type: str
    version: int
    key: str | None
    at_ms: int
    cause: int
    from_service: str | None
    from_outside: bool
    data: str
    truncated: bool
    headers: dict[str, str]


@final
class StepBar(Shown, frozen=True, kw_only=True):
    """One durable call inside an execution, in the order of the journal. Times are known as far as the journal says.

    `kind` is "step", "wait", "sleep", "ask", "transaction", "undo", "state" or "other"; `state` is "done", "failed",
    "retrying", "waiting", "in doubt" or "undone"; `text` says it in words.
    """

    position: str
    kind: str
    state: str
    text: str
    attempts: int
    start_ms: int | None
    end_ms: int | None
    event: int | None = None
    error: str | None = None


@final
class ExecutionBar(Shown, frozen=True, kw_only=True):
    """One handler's run for one event. `end_ms` is None while it is open; `parent` is the event that it handles.

    `can_skip` are the positions of steps that somebody may let count as done.
    """

    id: int
    event: int
    handler: str
    service: str
    status: str
    gating: bool
    attempts: int
    start_ms: int
    end_ms: int | None
    due_ms: int | None
    waits: tuple[str, ...]
    error: str | None
    code: int
    steps: tuple[StepBar, ...]
    emitted: tuple[int, ...]
    actions: tuple[Action, ...] = ()
    failed: bool = False
    can_skip: tuple[str, ...] = ()


@final
class StateLine(Shown, frozen=True, kw_only=True):
    """One keyed state under the key of the process."""

    state: str
    version: int
    changed_ms: int
    data: str | None


@final
class Fold(Shown, frozen=True, kw_only=True):
    """A span in which nothing happened: the timeline draws it narrow."""

    start_ms: int
    end_ms: int


@final
class ProcessPage(Shown, frozen=True, kw_only=True):
    """One process for its three panes: `events` and `executions` are flat, in the order of their numbers.

    `lanes` are the services in the order in which they took part, "outside" first if anything came from there.
    `next` is the number behind which the next page of events begins. `wave` tells of its undoing; `actions` are for the
    process as a whole.
    """

    standing: Standing
    head: ProcessHead
    milestones: tuple[Milestone, ...]
    violated: tuple[Violation, ...]
    expected: tuple[Expected, ...]
    lanes: tuple[str, ...]
    events: tuple[EventNode, ...]
    executions: tuple[ExecutionBar, ...]
    folds: tuple[Fold, ...]
    states: tuple[StateLine, ...]
    next: int | None = None
    wave: WavePane | None = None
    actions: tuple[Action, ...] = ()


@final
class PlanPage(Shown, frozen=True, kw_only=True):
    """What undoing a process would undo, in its order. `action` is "undo", or "cancel" while it is under way."""

    standing: Standing
    process: ProcessRef
    action: Action
    plan: WavePane


# One execution.


@final
class JournalLine(Shown, frozen=True, kw_only=True):
    """One entry of a journal: its place, its position, what it is, in words, when (if it says), and its payload."""

    place: int
    position: str
    kind: str
    text: str
    at_ms: int | None
    data: str | None
    error: str | None = None


@final
class ExecutionPage(Shown, frozen=True, kw_only=True):
    """One execution: how it stands, its event, its whole journal (a page of it), and its live state."""

    standing: Standing
    process: ProcessRef
    execution: ExecutionBar
    event: EventNode
    journal: tuple[JournalLine, ...]
    state: dict[str, str]
    next: int | None = None
