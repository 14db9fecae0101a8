"""Residue: what of an undone process could not be undone, given up by its policy and mended by hand.

A process declared with `on_undo_failure="residue"` does not wait for an undo whose attempts are spent: it is dropped,
the rest proceeds, and the verdict names it. Somebody who has mended it by hand says so, which is another version of the
row of the process; twice is well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from onstage.core.commit import WaveRow
from onstage.core.undoing import RESIDUE, RESOLVED, decode_undoing, encode_undoing
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.emission import Emission
from onstage.runtime.operations import operate

if TYPE_CHECKING:
    from onstage.ports.store import ProcessView, Stored
    from onstage.runtime.node import Node

__all__ = ["NOTE_CHARS_MAX", "drop_if_given_up", "resolve"]

NOTE_CHARS_MAX: Final = 500
"""So long may be what is said of how residue was mended."""

_SET_ASIDE: Final = (Status.PARKED, Status.DIVERGED)


async def drop_if_given_up(node: Node, stored: Stored) -> bool:
    """Drop an undo that was set aside, if its process is declared so; whether it did."""
    view = stored.execution
    if Status(view.status) not in _SET_ASIDE:
        return False
    process = await node.store.reader.process(view.process)
    rows = await node.store.reader.waves([view.process])
    declared = process and (process.declared or (decode_undoing(rows[0].body).declared if rows else None))
    if not any(each.name == declared and each.on_undo_failure == "residue" for each in node.processes):
        return False
    await operate(node, "drop", view.id)
    return True


async def resolve(node: Node, process: int, *, note: str | None = None, by: str | None = None) -> str:
    """Say that the residue of a process was mended by hand; durable when this returns, and the verdict names it.

    Raises UsageError if there is no residue, or the process is still being undone; LookupError if there is no such
    process.
    """
    if note is not None and len(note) > NOTE_CHARS_MAX:
        raise _refusal(f"the note has {len(note)} characters", f"the limit is {NOTE_CHARS_MAX}", "shorten it")
    await node.settle_window()
    view = await node.store.reader.process(process)
    if view is None:
        raise LookupError(f"there is no process {process}")
    row = next(iter(await node.store.reader.waves([process])), None)
    if row is None or row.state not in (RESIDUE, RESOLVED):
        raise _nothing_left(view, row)
    if node.waves.apart is not None and not node.waves.apart.is_own(view.wire_id):
        service = await node.waves.apart.owner(view.wire_id)
        raise _refusal(
            f"the residue of process {view.wire_id} is not resolved here",
            f"this store has a part of it; {service} decides about the whole",
            f"resolve it at the store of {service}",
        )
    undoing = decode_undoing(row.body)
    told = f"the residue of process {view.wire_id} is resolved"
    if row.state == RESOLVED:
        return f"{told} already"
    said = msgspec.structs.replace(undoing, resolved=node.clock.now_ms(), resolved_by=by or "", note=note or "")
    await _write(node, WaveRow(process, row.version + 1, RESOLVED, encode_undoing(said)))
    return told


async def _write(node: Node, row: WaveRow) -> None:
    emission = Emission(node.numbers)
    if node.waves.apart is not None:
        node.waves.apart.told(emission, row.process, row.state, decode_undoing(row.body))
    commit = emission.commit(node.epoch)
    commit.waves = (row,)
    position = node.append(commit, emission)
    node.store.flush()
    try:
        await node.store.durable(position)
    except Refused:
        return  # somebody else has said so meanwhile


def _nothing_left(view: ProcessView, row: WaveRow | None) -> UsageError:
    state = "not undone" if row is None else row.state
    if row is not None and decode_undoing(row.body).ended == 0 and state == "compensating":
        why = "nothing of it is given up yet"
        mend = "`onstage skip` an undo that is done by hand, or `onstage dead drop` it: it is residue then"
        return _refusal(f"process {view.wire_id} is still being undone", why, mend)
    return _refusal(
        f"process {view.wire_id} has no residue", f"it is {state}", "nothing; `onstage show` says how it is"
    )


def _refusal(what: str, why: str, mend: str) -> UsageError:
    return UsageError(f"{what}\n  why: {why}\n  to do: {mend}")
