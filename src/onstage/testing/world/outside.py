"""What lies outside the engine: the effects of steps, the faults of user code, and a record of both.

The services of the repertoire are declared once per OS process, the worlds come and go: `OUTSIDE` is where a step finds
the world that it is in.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from onstage.runtime.calls import idempotency_key
from onstage.runtime.frame import INSIDE_STEP
from onstage.testing.world.swarm import Fault, Swarm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["OUTSIDE", "Call", "Outside"]

SLOW_S: Final = (0.5, 3.0, 20.0)
TURNS: Final = 12


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One call of a step's function or of an undo."""

    step: str
    execution: int
    position: str
    key: str
    life: int
    is_effect: bool
    argument: str


@final
class Outside:
    """The world around the steps."""

    def __init__(self) -> None:
        """No world yet."""
        self.enter(None, lambda: 0, lambda _execution, _position: None)

    def enter(self, swarm: Swarm | None, life: Callable[[], int], look: Callable[[int, str], None]) -> None:
        """A world begins. `life` numbers the node's lives, `look` is told of each call before it does anything."""
        self._swarm = swarm
        self._life = life
        self._look = look
        self.calls: list[Call] = []

    async def act(self, step: str, argument: str) -> str:
        """The body of an asynchronous step."""
        self._begin(step, argument)
        swarm = self._swarm
        if swarm is not None and swarm.strikes(Fault.STEP_SLOW):
            await asyncio.sleep(SLOW_S[swarm.amount(Fault.STEP_SLOW, len(SLOW_S))])
        else:
            await asyncio.sleep(0)
        if swarm is not None and swarm.strikes(Fault.CANCELLED):
            task = asyncio.current_task()
            assert task is not None, "a step runs in a task"
            task.cancel()
            await asyncio.sleep(0)
        return self._happen(step, argument)

    def act_now(self, step: str, argument: str) -> str:
        """The body of a synchronous step."""
        self._begin(step, argument)
        return self._happen(step, argument)

    def stumble(self) -> None:
        """What a handler does between its durable calls: it may fail."""
        if self._swarm is not None and self._swarm.strikes(Fault.HANDLER_RAISES):
            raise ValueError("the handler stumbles")

    def refuse(self) -> None:
        """What a transaction does after its writes: it may fail, and must leave nothing."""
        if self._swarm is not None and self._swarm.strikes(Fault.TRANSACTION_RAISES):
            raise ValueError("the transaction is refused")

    async def together(self, *calls: Awaitable[Any]) -> None:
        """Await calls side by side. The handler may cancel one of them at some moment, and then fails with it."""
        tasks = [asyncio.ensure_future(call) for call in calls]
        swarm = self._swarm
        if swarm is not None and swarm.strikes(Fault.BRANCH_CANCELLED):
            unlucky = tasks[swarm.amount(Fault.BRANCH_CANCELLED, len(tasks))]
            _cancel_later(unlucky, 1 + swarm.amount(Fault.BRANCH_CANCELLED, TURNS))
        await asyncio.gather(*tasks)

    def _begin(self, step: str, argument: str) -> None:
        self._record(step, argument, is_effect=False)
        if self._swarm is not None and self._swarm.strikes(Fault.STEP_RAISES):
            raise ConnectionError("no line")

    def _happen(self, step: str, argument: str) -> str:
        self._record(step, argument, is_effect=True)
        if self._swarm is not None and self._swarm.strikes(Fault.STEP_RAISES_LATE):
            raise ConnectionError("the answer was lost")
        return f"{step} {argument}"

    def _record(self, step: str, argument: str, *, is_effect: bool) -> None:
        inside = INSIDE_STEP.get()
        assert inside is not None, "the body of a step runs inside it"
        frame, position = inside
        if not is_effect:
            self._look(frame.delivery.id, position)
        call = Call(step, frame.delivery.id, position, idempotency_key(), self._life(), is_effect, argument)
        self.calls.append(call)


def _cancel_later(task: asyncio.Future[Any], turns: int) -> None:
    if turns:
        asyncio.get_running_loop().call_soon(_cancel_later, task, turns - 1)
    else:
        task.cancel()


OUTSIDE: Final = Outside()
"""The world that steps are in now."""
