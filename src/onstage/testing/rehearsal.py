"""A rehearsal: a handler runs on the journal of an execution, and nothing happens.

Recorded calls are answered as a replay answers them. Whatever the code asks for beyond the journal is the frontier:
there the rehearsal stops. So it tells whether the code still fits what was recorded, without an effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from onstage.core.execution import Execution
from onstage.core.journal import Patched
from onstage.runtime.attempts import perform_step, perform_transaction
from onstage.runtime.completion import NO_COMPLETIONS
from onstage.runtime.continuing import again
from onstage.runtime.frame import CURRENT, Frame, Park
from onstage.runtime.waves import NO_WAVES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.core.journal import Entry
    from onstage.runtime.delivery import Delivery

__all__ = ["Frontier", "Rehearsed", "Scene", "place_in", "rehearse"]

_ONSTAGE: Final = str(Path(__file__).parent.parent)


class Frontier(BaseException):
    """The code asked for something that is not recorded; `except Exception` does not hold it up."""


class Rehearsed(NamedTuple):
    """How a run ended: what it returned, or what ended it. `frame` has the journal, and what diverged."""

    frame: Frame
    result: Any
    end: BaseException | None

    @property
    def diff(self) -> str | None:
        """Where code and journal differ, None if they do not as far as the code came."""
        parked = self.frame.parked
        if parked is not None and parked.diff is not None:
            return parked.diff
        return self.frame.execution.ended() if self.end is None else None


@final
class Scene:
    """Stands in for a node: event types by name, the undo steps, and a clock that stands still at 0."""

    def __init__(self, types: dict[str, Any]) -> None:
        """A scene in which these event types are known."""
        self.types = types
        self.steps: dict[str, Any] = {}
        self.clock = self
        self.waves = NO_WAVES
        self.completions = NO_COMPLETIONS

    def now_ms(self) -> int:
        """Before everything: what is to be at a time has not come."""
        return 0

    def chance(self) -> float:
        """No chance."""
        return 0.0

    def token(self, size: int) -> bytes:
        """No chance either."""
        return bytes(size)


@final
class _Rehearsing:
    """Stands in for a driver that must have nothing to do."""

    perform_step = staticmethod(perform_step)
    perform_transaction = staticmethod(perform_transaction)

    def __init__(self, node: Any) -> None:
        self.node = node

    def save(self, frame: Frame) -> None:
        """Nothing may be there to save."""
        if frame.execution.has_pending:
            raise Frontier("something new was recorded")

    def save_soon(self, frame: Frame) -> None:
        """A branch has ended and something new was recorded: nobody would hear an error here, so the run parks."""
        frame.parked = frame.parked or Park()

    @staticmethod
    def tell(frame: Frame, entry: Entry) -> None:
        """On which side of a change the execution is follows from its journal: the rehearsal goes on from there."""
        if not isinstance(entry, Patched):
            raise Frontier(f"the driver was told of {entry.position}")
        frame.execution.committed(entry)

    def __getattr__(self, name: str) -> Any:
        raise Frontier(f"the driver was asked to {name}")


async def rehearse(delivery: Delivery, entries: Iterable[Entry], event: Any, node: Any) -> Rehearsed:
    """Run the handler of a delivery on a journal, given this event; `node` is a node or a `Scene`."""
    driver: Any = _Rehearsing(node)
    frame = Frame(delivery, delivery.reaction, driver, 0, 0, Execution(tuple(entries)))
    result, end = None, None
    anew = again(frame)
    if anew is not None:  # it began again with another input, and what was recorded before is not asked again
        event = delivery.reaction.handler.triggers[0].decode(anew.input)
    mark = CURRENT.set(frame)
    try:
        result = await delivery.reaction.fn(event)
    except BaseException as error:  # noqa: BLE001  a parking is a finding too
        end = error
    finally:
        CURRENT.reset(mark)
    frame.closed = True
    return Rehearsed(frame, result, end)


def place_in(error: BaseException | None, otherwise: str) -> str:
    """The last line of the user's code that an error went through, as `file.py:12`."""
    found, trace = otherwise, None if error is None else error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_ONSTAGE) and "asyncio" not in Path(file).parts:
            found = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
