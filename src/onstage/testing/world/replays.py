"""I13: every journal replays: run again from it alone, each handler asks for nothing that is not recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from onstage.core.execution import Execution
from onstage.events.receipt import Status
from onstage.runtime.attempts import perform_step, perform_transaction
from onstage.runtime.delivery import Delivery
from onstage.runtime.frame import CURRENT, Frame
from onstage.testing.world.outside import OUTSIDE

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.testing.world.world_run import World

__all__ = ["check_replays"]

DIVERGING: Final = "road.travel"
"""The handler that has versions: whose journal fits which is not recorded."""


class _NotRecordedError(Exception):
    """A replay went beyond its journal."""


@final
class _Replaying:
    """Stands in for a driver that must have nothing to do."""

    perform_step = staticmethod(perform_step)
    perform_transaction = staticmethod(perform_transaction)

    def __init__(self, node: Any) -> None:
        self.node = node

    def save(self, frame: Frame) -> None:
        """Nothing may be there to save."""
        if frame.execution.has_pending:
            raise _NotRecordedError("something new was recorded")

    def __getattr__(self, name: str) -> Any:
        raise _NotRecordedError(f"the driver was asked to {name}")


def check_replays(world: World, journals: dict[int, list[Entry]]) -> None:
    """Replay all executions that are done; complain of those that do not reach their end."""
    node = world.life.node
    done = world.observer.rows("select id from onstage_execution where status = ?", Status.DONE)
    for (execution,) in done:
        reaction = node.reactions[execution & 0xFFFF]
        if reaction.wants_envelope or reaction.name == DIVERGING or execution not in journals:
            continue
        world.life.loop.run_until_complete(_replay(world, execution, journals[execution]))


async def _replay(world: World, execution: int, entries: list[Entry]) -> None:
    node: Any = world.life.node
    stored = await node.store.reader.execution(execution)
    if stored is None or stored.event.n in world.observer.poisoned:
        return
    delivery = Delivery(execution, node.reactions[execution & 0xFFFF], stored.event.process, None, None)
    driver: Any = _Replaying(node)
    frame = Frame(delivery, delivery.reaction, driver, 0, 0, Execution(tuple(entries)))
    calls = len(OUTSIDE.calls)
    mark = CURRENT.set(frame)
    try:
        result = await delivery.reaction.fn(node.types[stored.event.type].decode(stored.event.data))
    except BaseException as error:  # noqa: BLE001  a parking is a finding too
        world.observer.complain("I13", f"execution {execution} ({delivery.reaction.name}) does not replay: {error!r}")
        return
    finally:
        CURRENT.reset(mark)
        frame.closed = True
    if missing := frame.execution.ended():
        world.observer.complain("I13", f"execution {execution} does not replay: {missing}")
    if len(OUTSIDE.calls) != calls:
        world.observer.complain("I13", f"execution {execution} ran steps when it was replayed")
    emitted = len(result) if isinstance(result, tuple) else int(result is not None)
    stored_events = world.observer.rows("select count(*) from onstage_event where cause = ?", execution)[0][0]
    midway = sum(type(entry).__name__ == "Emitted" for entry in entries)
    if emitted + midway != stored_events:
        world.observer.complain("I13", f"execution {execution} emitted {stored_events}, replay {emitted + midway}")
