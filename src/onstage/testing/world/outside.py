"""What lies outside the engine: the effects of steps, the faults of user code, and a record of both.

The services of the repertoire are declared once per OS process, the worlds come and go: `OUTSIDE` is where a step finds
the world that it is in.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from onstage.runtime.calls import idempotency_key
from onstage.runtime.frame import CURRENT, INSIDE_STEP
from onstage.testing.world.swarm import Fault, Swarm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["OUTSIDE", "Began", "Call", "Outside"]

SLOW_S: Final = (0.5, 3.0, 20.0)
TURNS: Final = 12
_SLOWS_THE_DISK: Final = (Fault.DISK_FULL, Fault.SLOW_COMMIT, Fault.SYNC_ERROR)
"""After a sync that failed the writer waits before it tries again, as it does for a full disk."""


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
@dataclass(frozen=True, slots=True)
class Began:
    """One run of a handler: whose, in which life, when on the loop's clock, and by the node's clock (ms).

    It may have run ahead of the disk: then its node may have died, and the numbers be those of another event now. So
    `event` is the public id of its event.
    """

    handler: str
    execution: int
    event: str
    life: int
    at_s: float
    at_ms: int


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
        self.begun: list[Began] = []
        self.notes: defaultdict[str, list[Any]] = defaultdict(list)  # what a play writes down for its check
        self._within: Counter[tuple[int, str]] = Counter()
        self.most_within: Counter[str] = Counter()

    @property
    def clock_was_right(self) -> bool:
        """Whether nobody has moved the clock of this world."""
        swarm = self._swarm
        return swarm is None or not (swarm.counts[Fault.CLOCK_SKEW] or swarm.counts[Fault.CLOCK_JUMP])

    @property
    def disk_was_quick(self) -> bool:
        """Whether no commit of this world took long; where one does, a run that was let in begins when it is over."""
        swarm = self._swarm
        return swarm is None or not any(swarm.counts[fault] for fault in _SLOWS_THE_DISK)

    @property
    def life(self) -> int:
        """The number of the node's present life."""
        return self._life()

    def begun_in(self, file: StoredFile, handler: str) -> list[Began]:
        """The runs of a handler whose events are stored."""
        return [each for each in self.begun if each.handler == handler and each.event in file.wires]

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Around the body of a handler: notes that it begins, and how many of it and of its service run at once."""
        frame, life = CURRENT.get(), self._life()
        assert frame is not None, "a handler runs in its frame"
        name, loop = frame.delivery.reaction.name, asyncio.get_running_loop()
        node, delivery = frame.driver.node, frame.delivery
        event = node.numbers.identity.wire(delivery.n)
        self.begun.append(Began(name, delivery.id, event, life, loop.time(), node.clock.now_ms()))
        within, most = self._within, self.most_within
        for each in (name, name.partition(".")[0]):
            within[life, each] += 1
            most[each] = max(most[each], within[life, each])
        try:
            yield
        finally:
            for each in (name, name.partition(".")[0]):
                within[life, each] -= 1

    def place(self) -> tuple[int, str]:
        """Where a step is that asks: its execution and its position."""
        inside = INSIDE_STEP.get()
        assert inside is not None, "the body of a step runs inside it"
        frame, position = inside
        return frame.delivery.id, position

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

    def is_first_try(self) -> bool:
        """Whether the handler that has begun just now has never begun with this event before."""
        frame = CURRENT.get()
        assert frame is not None, "a handler runs in its frame"
        return sum(began.execution == frame.delivery.id for began in self.begun) == 1

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
