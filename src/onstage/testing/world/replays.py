"""I13: every journal replays: run again from it alone, each handler asks for nothing that is not recorded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from onstage.core.commit import event_of, handler_of
from onstage.core.journal import Asked, Emitted
from onstage.errors import Cancelled, Reject
from onstage.events.receipt import Status
from onstage.runtime.delivery import Delivery
from onstage.runtime.frame import Park
from onstage.testing.rehearsal import Frontier, rehearse
from onstage.testing.world.onlooker import DIVERGING
from onstage.testing.world.outside import OUTSIDE

if TYPE_CHECKING:
    from onstage.runtime.frame import Frame
    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.world_run import World

__all__ = ["check_replays"]

ANSWERING: Final = (Status.DONE, Status.REJECTED, Status.DROPPED, Status.CANCELLED)
"""How an answerer ends that has given an answer."""

GIVEN_UP: Final = (Status.DROPPED, Status.CANCELLED)
"""How an execution ends that did not come to its own end."""


def check_replays(world: World, file: StoredFile) -> None:
    """Replay all executions that have ended; complain of those that come to another end than the recorded one."""
    world.life.loop.run_until_complete(_replay_all(world, file))


async def _replay_all(world: World, file: StoredFile) -> None:
    node = world.life.node
    emitted = Counter(event.cause for event in file.events.values())
    for execution, row in file.executions.items():
        reaction = node.reactions.get(handler_of(execution))
        if reaction is None or reaction.wants_envelope or execution not in file.journals or row.is_open:
            continue
        if reaction.name == DIVERGING or any(reaction.name in play.unreplayed for play in world.plays):
            continue
        if event_of(execution) not in world.onlooker.poisoned:
            events = await _replay(world, file, execution, Status(row.status))
            if events is not None and events != emitted[execution]:
                world.onlooker.complain("I13", f"execution {execution} emitted {emitted[execution]}, replay {events}")


async def _replay(world: World, file: StoredFile, execution: int, status: Status) -> int | None:
    """Run a handler on its journal; answers how many events it emits, None if it has not come to its end."""
    node: Any = world.life.node
    n, entries = event_of(execution), file.journals[execution]
    delivery = Delivery(execution, node.reactions[handler_of(execution)], file.events[n].process, None, None)
    calls = len(OUTSIDE.calls)
    what = f"execution {execution} ({delivery.reaction.name}, {status.label})"
    event = node.types[file.events[n].type].read(file.payloads[n], file.events[n].version)
    frame, result, end = await rehearse(delivery, entries, event, node)
    if len(OUTSIDE.calls) != calls:
        world.onlooker.complain("I13", f"{what} ran steps when it was replayed")
    if not _ends_so(status, frame, end):
        world.onlooker.complain("I13", f"{what} does not replay: {end!r}")
        return None
    if missing := frame.execution.ended() if status not in GIVEN_UP else None:
        world.onlooker.complain("I13", f"{what} does not replay: {missing}")
    midway = sum(isinstance(entry, Emitted | Asked) for entry in entries)
    if delivery.reaction.responding is not None:
        return midway + (status in ANSWERING)
    if status in GIVEN_UP:
        return midway  # what stopped it may not stop the replay, and what that returns was never written
    return midway + (len(result) if isinstance(result, tuple) else int(result is not None))


def _ends_so(status: Status, frame: Frame, end: BaseException | None) -> bool:
    """Whether a replay came to the recorded end. One that was given up goes as far as its journal, and no other way."""
    if frame.parked is not None and frame.parked.diff is not None:
        return False
    if status is Status.DONE:
        return end is None
    if status is Status.REJECTED:
        return isinstance(end, Reject)
    if isinstance(end, Cancelled):
        return status in GIVEN_UP  # dropped, if one of its undos was set aside
    return end is None or isinstance(end, Exception | Park | Frontier)
