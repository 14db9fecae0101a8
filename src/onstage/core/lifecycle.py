"""The life of an execution, as a table: state and input give the next state.

Rule for editors: a transition that is not in `TRANSITIONS` does not exist. The same table draws the diagram in
`docs/concepts/lifecycle.md` and gives the words people see.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from onstage.events.receipt import Status

__all__ = ["TRANSITIONS", "IllegalTransition", "Input", "advance", "diagram"]


class Input(StrEnum):
    """What can happen to an execution."""

    PROGRESS = "a durable call is recorded"
    PARK = "it waits for an event or a time"
    RETRY = "an attempt failed, another is due"
    FAIL = "the retries are spent"
    DIVERGE = "replay asked for something else than was recorded"
    END = "the handler returned"
    SKIP = "it is not to run any more"
    REJECT = "the handler rejected, its steps are undone"
    RESUME = "an operator retries it"
    DROP = "an operator drops it"
    CANCEL = "it was cancelled, its steps are undone"
    EXPIRE = "its event expired before it began"
    CALL_OFF = "an operator calls the delayed event off"
    RETIRE = "its handler is gone and was retired"


class IllegalTransition(AssertionError):
    """An engine defect: an input came to an execution in a state that does not allow it. Please report it."""


_ACTIVE: Final = (Status.READY, Status.RUNNING, Status.WAITING, Status.RETRYING)
_SET_ASIDE: Final = (Status.PARKED, Status.DIVERGED)

TRANSITIONS: Final[dict[tuple[Status, Input], Status]] = {
    **{(state, Input.PROGRESS): Status.RUNNING for state in _ACTIVE},
    **{(state, Input.PARK): Status.WAITING for state in _ACTIVE},
    **{(state, Input.RETRY): Status.RETRYING for state in _ACTIVE},
    **{(state, Input.FAIL): Status.PARKED for state in _ACTIVE},
    **{(state, Input.DIVERGE): Status.DIVERGED for state in _ACTIVE},
    **{(state, Input.END): Status.DONE for state in _ACTIVE},
    **{(state, Input.REJECT): Status.REJECTED for state in _ACTIVE},
    (Status.READY, Input.SKIP): Status.SKIPPED,
    **{(state, Input.RESUME): Status.READY for state in _SET_ASIDE},
    **{(state, Input.DROP): Status.DROPPED for state in _SET_ASIDE},
    **{(state, Input.CANCEL): Status.CANCELLED for state in (*_ACTIVE, *_SET_ASIDE)},
    (Status.READY, Input.EXPIRE): Status.SKIPPED,
    (Status.READY, Input.CALL_OFF): Status.DROPPED,
    **{(state, Input.RETIRE): Status.WRITTEN_OFF for state in (*_ACTIVE, *_SET_ASIDE)},
}


def advance(state: Status, happened: Input) -> Status:
    """The next state. Raises IllegalTransition for a pair that is not in the table."""
    try:
        return TRANSITIONS[state, happened]
    except KeyError:
        msg = f"{happened.name} while {state.label}"
        raise IllegalTransition(msg) from None


def diagram() -> str:
    """The table as a mermaid state diagram, in a stable order."""
    arrows = sorted({(a.label, b.label, i.value) for (a, i), b in TRANSITIONS.items() if a is not b})
    lines = [f"    {a.replace(' ', '_')} --> {b.replace(' ', '_')}: {why}" for a, b, why in arrows]
    return "\n".join(["stateDiagram-v2", "    [*] --> ready", *lines])
