"""I5: each event from inside has a cause that is stored and came before it, so that there are no cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.core.commit import event_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["without_cause"]


def without_cause(file: StoredFile) -> Iterator[str]:
    """Events whose cause is not stored, is of another process, or is not earlier by number and by hybrid time."""
    for n, event in file.events.items():
        if not event.cause:
            continue
        cause = file.events.get(event_of(event.cause))
        if cause is None or event.cause not in file.executions:
            yield f"event {n} was caused by {event.cause}, which is not stored"
        elif event_of(event.cause) >= n or cause.hlc >= event.hlc:
            yield f"event {n} is not later than its cause {event_of(event.cause)}"
        elif cause.process != event.process and (event.process != n or file.executions[event.cause].gating):
            # What a handler emits that does not gate begins a process of its own.
            yield f"event {n} of process {event.process} was caused in process {cause.process}"
