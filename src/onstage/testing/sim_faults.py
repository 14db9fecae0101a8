"""What a test does to the steps of a simulated world: failures, replacements, delays, crashes; and what it counts."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Any, Final, assert_never, final

import msgspec

from onstage.events.duration import seconds
from onstage.runtime.attempts import run_function
from onstage.runtime.frame import INSIDE_STEP
from onstage.testing.planned_faults import Crash, Delay, Fail, Recorded, Stub

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.runtime.frame import Frame
    from onstage.runtime.step import Step
    from onstage.testing.planned_faults import Fault

__all__ = ["Faults"]

_MISSING: Final = object()


@final
class Faults:
    """Stands between the engine and the functions of the steps. It outlives the node: faults are the world's."""

    def __init__(self, note: Callable[..., None], kill: Callable[[], None]) -> None:
        """`note` writes to the trace, `kill` lets the node die after the present callback."""
        self._note = note
        self._kill = kill
        self.calls: Counter[Any] = Counter()
        self.failures: defaultdict[Any, deque[BaseException]] = defaultdict(deque)
        self.stubs: dict[Any, Any] = {}
        self.delays_s: dict[Any, float] = {}
        self.crashes: Counter[tuple[str, Any]] = Counter()
        self.recorded: defaultdict[tuple[str, str], deque[Recorded]] = defaultdict(deque)
        self._retold: dict[tuple[int, str], Recorded] = {}
        self._attempts: Counter[tuple[int, str]] = Counter()

    def plan(self, fault: Fault) -> None:
        """Take up a fault that is given as a value."""
        match fault:
            case Fail():
                self.failures[fault.step].extend([fault.error] * fault.times)
            case Stub():
                self.stubs[fault.step] = fault.value
            case Delay():
                self.delays_s[fault.step] = seconds(fault.duration)
            case Crash():
                self.crashes[fault.service.name, fault.after] += fault.times
            case Recorded():
                self.recorded[fault.handler, fault.position].append(fault)
            case _:
                assert_never(fault)

    async def invoke(self, step: Step[..., Any], frame: Frame, position: str, arguments: tuple[Any, ...]) -> Any:
        """One attempt of a step, as the test wants it."""
        self.calls[step] += 1
        self._note("step", frame.delivery.id, step.name, position, self.calls[step])
        async with asyncio.timeout(step.timeout_s if step.is_async else None):
            result = await self._attempt(step, frame, position, arguments)
        point = (frame.reaction.service, step)
        if self.crashes[point]:
            self.crashes[point] -= 1
            self._kill()
            await asyncio.get_running_loop().create_future()  # for ever: nobody is left to resume it
        return result

    async def _attempt(self, step: Step[..., Any], frame: Frame, position: str, arguments: tuple[Any, ...]) -> Any:
        if step in self.delays_s:
            await asyncio.sleep(self.delays_s[step])
        if self.failures[step]:
            raise self.failures[step].popleft().with_traceback(None)
        stub = self.stubs.get(step, _MISSING)
        if stub is _MISSING and self.recorded:
            return self._told(step, frame, position)
        if stub is _MISSING:
            return await run_function(step, frame, position, arguments)
        if not callable(stub):
            return stub
        mark = INSIDE_STEP.set((frame, position))
        try:
            answer = stub(*arguments)
            return await answer if inspect.isawaitable(answer) else answer
        finally:
            INSIDE_STEP.reset(mark)

    def _told(self, step: Step[..., Any], frame: Frame, position: str) -> Any:
        """What a history says that this step did here."""
        mine = (frame.delivery.id, position)
        if mine not in self._retold:
            left = self.recorded[frame.reaction.name, position]
            if not left:
                raise AssertionError(f"step {position} of {frame.reaction.name} is not in the history: stub it")
            self._retold[mine] = left.popleft()
        told = self._retold[mine]
        self._attempts[mine] += 1
        if told.fails_for_good or self._attempts[mine] <= told.failures:
            raise RuntimeError(told.error)
        return step.result_codec.read(msgspec.json.encode(told.result))
