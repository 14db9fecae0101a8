"""What the web UI shows of the undoing of a process, as plain values."""

from __future__ import annotations

from typing import Literal, final

import msgspec

__all__ = ["UndoLine", "WavePane"]

UndoState = Literal["planned", "to come", "running", "retrying", "stuck", "undone", "given up"]


@final
class UndoLine(msgspec.Struct, frozen=True, kw_only=True):
    """One step that is undone, or would be. Those of one round do not wait for each other.

    `execution` is where it was done, `undo` the execution that undoes it, once there is one. `can_skip` says that
    somebody may let the undo count as done.
    """

    round: int
    handler: str
    step: str
    in_doubt: bool
    execution: int
    state: UndoState
    undo: int | None = None
    error: str | None = None
    can_skip: bool = False


@final
class WavePane(msgspec.Struct, frozen=True, kw_only=True):
    """The undoing of a process, or, with `state` "planned", what it would be.

    `state` is "compensating", "compensated", "compensated with residue", "residue resolved", "nothing to undo" or
    "pivoted"; `reason` says who decided. `lines` are in their order, the first `UNDOS_MAX`; `total` counts all, `left`
    those not undone.
    """

    state: str
    reason: str
    since_ms: int | None
    ended_ms: int | None
    lines: tuple[UndoLine, ...]
    rounds: int
    total: int
    left: int
    residue: tuple[str, ...] = ()
    resolved: str = ""
