"""`patched`: changing a handler while executions of it are open."""

from __future__ import annotations

from onstage.errors import UsageError
from onstage.runtime.call import calling_frame

__all__ = ["patched"]


def patched(change: str) -> bool:
    """Say whether this execution is on the new side of the change with this name.

    True for an execution that comes here for the first time, False for one that had passed this place before the change
    was there: `if patched("fraud-check"): ...`. Decided once for an execution and a name, and recorded, so that every
    later replay takes the same way. The question itself is no divergence in an old journal. Outside an execution it is
    True.

    Raises UsageError for an empty name.
    """
    if not change:
        raise UsageError(
            'patched was given no name\n  why: it is recorded by its name\n  to do: write patched("what-changed")'
        )
    frame = calling_frame("patched")
    if frame is None:
        return True
    new, entry = frame.execution.patched(change)
    if entry is not None:
        frame.leave_if_stopped()
        frame.driver.tell(frame, entry)
    return new
