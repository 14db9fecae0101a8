"""Beginning anew: a workflow that goes on for ever ends its journal, and starts again with another input."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, final

import msgspec

from onstage.errors import NotInExecution, UsageError
from onstage.runtime.call import calling_frame

if TYPE_CHECKING:
    from onstage.core.journal import Continued
    from onstage.runtime.frame import Frame

__all__ = ["ContinueAsNew", "again", "continue_as_new"]


@final
class ContinueAsNew(BaseException):
    """Unwinds a workflow that begins anew. No `except Exception` catches it; do not catch it yourself."""

    def __init__(self, input: bytes) -> None:
        """`input` is the payload to begin with."""
        super().__init__("this execution begins anew")
        self.input = input


def continue_as_new(input: object) -> NoReturn:
    """End the journal of this workflow here, and run it from its first line with this input.

    It stays the same execution: its handle, its result, its live state, and the undo of steps that were finished
    before; events that it has taken stay taken, others are there for its waits. It does not return.

    Raises UsageError in what is no workflow, or for an input that its annotation does not allow.
    """
    frame = calling_frame("continue_as_new")
    if frame is None:
        raise NotInExecution(
            "continue_as_new(...) was called outside a workflow\n  why: there is no journal that could begin anew\n"
            "  to do: call it in a workflow"
        )
    responding, known = frame.reaction.responding, frame.delivery.type
    if responding is None or not responding.is_workflow or known is None:
        raise UsageError(
            f"continue_as_new was called in {frame.reaction.name}\n  why: it is no workflow, its input is an event\n"
            "  to do: emit another event, or make it a workflow"
        )
    try:
        data = bytes(known.encode(input))
        known.decode(data)
    except Exception as error:  # the class's own code may raise anything
        raise UsageError(
            f"{frame.reaction.name} cannot begin anew with {type(input).__qualname__}\n  why: {error}\n"
            "  to do: give what its parameter's annotation says"
        ) from error
    raise ContinueAsNew(data)


def again(frame: Frame) -> Continued | None:
    """The entry with which an execution began anew, None if it did not; its live state goes on."""
    renewal = frame.execution.renewal
    if renewal is None:
        return None
    frame.shown = {key: msgspec.json.decode(value) for key, value in renewal.shown.items()}
    return renewal.entry
