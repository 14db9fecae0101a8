"""What is answered to whoever asks for a process to be undone, where that is refused or decided already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from onstage.core.undoing import NOTHING, PIVOTED, decode_undoing
from onstage.errors import UsageError

if TYPE_CHECKING:
    from onstage.core.commit import WaveRow
    from onstage.ports.store import ProcessView
    from onstage.runtime.node import Node

__all__ = ["as_a_whole", "decided_before", "has_ended", "refuse_wrong_word"]


async def as_a_whole(node: Node, view: ProcessView, *, completed: bool) -> ProcessView:
    """An own process as others see it where services run apart: nothing open here does not mean that it has ended.

    Whether one without an outcome is `completed`, observers say. Raises OperationError if none answers.
    """
    if view.outcome is not None or node.exchange is None:
        return view
    is_over = completed and (await node.exchange.verdict(view.wire_id, 0.0)).is_final
    return msgspec.structs.replace(view, open=0 if is_over else 1)


def decided_before(view: ProcessView, row: WaveRow) -> str:
    """What somebody is told who wants undone what is decided already. Raises UsageError after a pivot."""
    if row.state == NOTHING:
        return f"process {view.wire_id} has ended, and nothing of it is to be undone"
    if row.state != PIVOTED:
        return f"process {view.wire_id} is {row.state} already"
    raise UsageError(
        f"process {view.wire_id} has passed its pivot and is not undone\n"
        f"  why: {decode_undoing(row.body).reason}\n"
        "  to do: let it go on; what it still has to do is retried until it is done"
    )


def refuse_wrong_word(view: ProcessView, *, completed: bool) -> None:
    """Refuse a cancel of what has ended, and an undo of what has not. Raises UsageError."""
    is_over = view.outcome is not None or not view.open
    if is_over and not completed:
        raise has_ended(view)
    if not is_over and completed:
        raise UsageError(
            f"process {view.wire_id} has not ended\n  why: undo is for what is complete\n"
            "  to do: `onstage cancel` it: what it has done is undone, and it goes no further"
        )


def has_ended(view: ProcessView) -> UsageError:
    """What refuses a cancel of a process that has ended."""
    outcome = f"with {view.outcome}" if view.outcome else "without an outcome"
    return UsageError(
        f"process {view.wire_id} has ended {outcome}\n  why: cancel is for what is under way\n"
        "  to do: `onstage undo` it, to have undone what it did"
    )
