"""Changes of verdict as events, to subscribe to: `@alerts.on(ProcessStuck)`. They are told behind the log, each once.

A handler of them does not gate, and what it emits begins processes of its own. `@alerts.on("onstage.process.>")` gets
all of them as envelopes.
"""

from __future__ import annotations

from onstage.events.process_changed import (
    ProcessChanged,
    ProcessCompensated,
    ProcessCompleted,
    ProcessDeadEnd,
    ProcessOverdue,
    ProcessReopened,
    ProcessStuck,
    ProcessViolated,
)

__all__ = [
    "ProcessChanged",
    "ProcessCompensated",
    "ProcessCompleted",
    "ProcessDeadEnd",
    "ProcessOverdue",
    "ProcessReopened",
    "ProcessStuck",
    "ProcessViolated",
]
