"""Onstage's own events about processes: each tells one change of verdict, for handlers that subscribe to it.

They are emitted behind the log by whoever watches the processes, only if a handler subscribes, and belong to no process
but one of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from onstage.events.event import EventType, define_event, mark_event

__all__ = [
    "CHANGED_PREFIX",
    "CHANGED_TYPES",
    "COMPENSATED_TYPE",
    "TOLD_TYPES",
    "ProcessChanged",
    "ProcessCompensated",
    "ProcessCompleted",
    "ProcessDeadEnd",
    "ProcessOverdue",
    "ProcessReopened",
    "ProcessStuck",
    "ProcessViolated",
]

CHANGED_PREFIX: Final = "onstage.process."


@dataclass(frozen=True, kw_only=True)
class ProcessChanged:
    """What every change of verdict says; its subclasses are the events.

    `process` is the public id, `declared` the name of its `Process` (None if it has none), `key` its business key.
    Changes of one process are numbered from 1 on; (`process`, `number`) never means two of them, but where services run
    apart, two observers may count differently. `at` is when it happened, `reason` says it in words.
    """

    process: str
    declared: str | None
    key: str | None
    number: int
    at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class ProcessCompleted(ProcessChanged):
    """Nothing of a declared process is in flight anywhere, and it has an `outcome` (the name of an event type)."""

    outcome: str


@dataclass(frozen=True, kw_only=True)
class ProcessDeadEnd(ProcessChanged):
    """Nothing of a declared process is in flight anywhere, and none of its outcomes occurred."""


@dataclass(frozen=True, kw_only=True)
class ProcessStuck(ProcessChanged):
    """Something of a process, declared or not, was set aside, or cannot go on: no live node has it, or a lane cycle."""


@dataclass(frozen=True, kw_only=True)
class ProcessOverdue(ProcessChanged):
    """A milestone did not come within its time; with `milestone` None the process has no outcome by its deadline.

    `due` is when it should have come, `owed_by` are the services with a handler that emits it.
    """

    milestone: str | None
    due: datetime
    owed_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProcessViolated(ProcessChanged):
    """A process did what an expectation forbids: `rule` is that expectation, as it was written."""

    rule: str


@dataclass(frozen=True, kw_only=True)
class ProcessReopened(ProcessChanged):
    """Extra input came into a declared process that had ended."""


@dataclass(frozen=True, kw_only=True)
class ProcessCompensated(ProcessChanged):
    """All that was done in a process, declared or not, is undone; `residue` names what was given up. `number` is 0."""

    residue: tuple[str, ...]


def _define(cls: type[ProcessChanged], name: str) -> EventType:
    return mark_event(cls, define_event(cls, name=f"{CHANGED_PREFIX}{name}"))


COMPENSATED_TYPE: Final = _define(ProcessCompensated, "compensated")
CHANGED_TYPES: Final = {
    "completed": _define(ProcessCompleted, "completed"),
    "dead-end": _define(ProcessDeadEnd, "dead-end"),
    "stuck": _define(ProcessStuck, "stuck"),
    "overdue": _define(ProcessOverdue, "overdue"),
    "violated": _define(ProcessViolated, "violated"),
    "reopened": _define(ProcessReopened, "reopened"),
}
"""Their event types, by what changed."""
TOLD_TYPES: Final = (*CHANGED_TYPES.values(), COMPENSATED_TYPE)
"""All of Onstage's own events about processes."""
