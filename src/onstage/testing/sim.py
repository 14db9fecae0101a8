"""`Sim`: an application in a simulated world, for tests. Days pass in milliseconds, and crashes come when asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, final

from onstage.core.identity import number_in
from onstage.events.codec import codec_for, encode_any
from onstage.events.delayed import when_of
from onstage.events.duration import seconds
from onstage.events.event import event_type
from onstage.runtime.asking import response_in, workflow_of
from onstage.runtime.completion import outcome_of
from onstage.runtime.operations import operate
from onstage.runtime.skipping import execution_with, skip
from onstage.testing.planned_faults import Crash, Delay, Fail, Fault, Stub
from onstage.testing.sim_expectations import Judge
from onstage.testing.sim_history import SimHistory
from onstage.testing.sim_world import World

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime, timedelta
    from types import TracebackType

    from onstage.app import App
    from onstage.contracts.handler import Handler
    from onstage.contracts.service import Service
    from onstage.events.answer import Request
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import Reader
    from onstage.runtime.step import Step
    from onstage.testing.virtual_clock import VirtualClock

__all__ = ["Sim"]

E = TypeVar("E")
R = TypeVar("R")
T = TypeVar("T")
PHASES: Final = ("before", "after")


@final
class Sim:
    """The real engine and a real SQLite store on virtual time, with seeded chance. Use it as an async context manager.

        async with Sim(app, seed=7) as sim:
            sim.fail(charge, ConnectionError())
            await sim.emit(OrderPlaced("o1", "sku", 5))
            await sim.settle()
            assert sim.outcome("o1") == "OrderShipped"

    The same application, seed and test give the same run, `trace_hash` proves it. The world runs in a thread of its
    own and stands still between the calls; real I/O in a step is refused by name.
    """

    def __init__(self, app: App, *, seed: int = 0, faults: Iterable[Fault] = ()) -> None:
        """Take an application, and faults to begin with; nothing runs before the world is entered."""
        self.app = app
        self.seed = seed
        self._faults = tuple(faults)
        self._judging = Judge()
        self._kills_at: set[tuple[int, str]] = set()
        self._folder: TemporaryDirectory[str]
        self._thread: ThreadPoolExecutor
        self._world: World

    async def __aenter__(self) -> Self:
        """Make the world and start the node."""
        self._folder = TemporaryDirectory(prefix="onstage-sim-")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="onstage-sim")
        self._world = World(self.app, self.seed, Path(self._folder.name) / "sim.db")
        self._world.kills_at = self._kills_at
        self.apply(*self._faults)
        await self._do(self._world.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the node and forget the world."""
        try:
            if kind is None:
                await self._judge()
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            await self._do(self._world.close)
        finally:
            self._thread.shutdown()
            self._folder.cleanup()

    # What happens.

    async def emit(
        self,
        event: object,
        *,
        id: str | None = None,
        process: str | None = None,
        after: str | timedelta | float | None = None,
        at: datetime | None = None,
        expires: str | timedelta | float | datetime | None = None,
    ) -> str:
        """Emit an event from outside, as a client would; answers the public id of its process. See `Stage.emit`.

        `process` is the one that it is to join, by its public id. If the node dies meanwhile, the client sends the
        same event with the same id to the next one.
        """
        when = when_of(after=after, at=at, expires=expires)
        return await self._do(lambda: self._world.emit(event, id, process, when))

    async def start(self, workflow: Handler[T, Any], input: T, *, id: str | None = None) -> str:
        """Start a workflow from outside, as a client would; answers the public id of its process."""
        known, _ = workflow_of(workflow)
        return await self._do(lambda: self._world.begin(known.name, known.encode(input), id, id))

    async def ask(self, request: Request[Any], *, id: str | None = None) -> str:
        """Ask from outside, as a client would; answers the public id of its process, and does not wait."""
        known = event_type(type(request))
        return await self._do(lambda: self._world.begin(known.name, known.encode(request), id, known.key_of(request)))

    async def control(self, action: str, event: str, *, note: str | None = None) -> str:
        """Cancel or terminate what was started or asked under this id, undo or resolve; answers what was done."""
        return await self._do(lambda: self._world.control(action, event, note))

    async def skip(self, key: str, step: str, result: object = None) -> str:
        """Let a stuck step of the newest process with this key count as done with this result, as an operator would."""
        process = self.read(lambda reader: reader.processes(key=key))[0].id
        execution = self.read(lambda reader: execution_with(reader, process, step))
        data = None if result is None else encode_any(result)
        return await self._do(lambda: self._world.call(lambda: skip(self._world.node, execution, step, data)))

    async def fork(self, event: str, step: str, *, id: str | None = None) -> str:
        """Fork a workflow from a step, as a client would; answers the public id of the fork."""
        return await self._do(lambda: self._world.fork(event, step, id))

    def result(self, event: str) -> Any:
        """The result of what was started or asked under this id, as plain data; None if there is none yet.

        Raises AskFailed if it has failed.
        """
        number = number_in(event) or 0
        found = self.read(lambda reader: reader.answer(number))
        return None if found is None else response_in(found.type, found.data, codec_for(Any))

    async def settle(self) -> None:
        """Run until nothing is ready or running.

        Time passes for running steps, and for retries and rate limits that are due within an hour; not for waits,
        sleeps, and events that gather (`debounce=`, `batch=`). Raises AssertionError if a handler still
        runs after an hour of virtual time, and for each rule of an expectation that a process broke, once.
        """
        await self._do(self._world.settle)
        await self._judge()

    async def advance(self, duration: str | timedelta | float) -> None:
        """Let time pass ("25h", a timedelta or seconds) with everything that falls due, then settle.

        Raises AssertionError as `settle` does.
        """
        await self._do(lambda: self._world.advance(seconds(duration)))
        await self._judge()

    async def _judge(self) -> None:
        world = self._world
        if any(process.rules for process in self.app.processes):
            await self._do(
                lambda: world.call(
                    lambda: self._judging.refuse_violations(world.store.reader, world.judged, self.app.processes)
                )
            )

    async def restart(self) -> None:
        """Kill the node between two things, and start another one on the same file."""
        await self._do(self._world.restart)

    async def deploy(self, app: App) -> None:
        """Kill the node, and start one with another version of the application on the same file."""
        self.app = app
        await self._do(lambda: self._world.deploy(app))

    async def operate(self, action: str, key: str) -> int:
        """Retry or drop ("retry", "drop") what is set aside in the process with this key; answers how many."""
        aside = [view.id for view in self._ask(lambda history: history.set_aside(key))]
        for execution in aside:
            await self._do(lambda: self._world.call(lambda: operate(self._world.node, action, execution)))  # noqa: B023
        return len(aside)

    async def operate_schedule(
        self, action: str, name: str, *, first_ms: int | None = None, last_ms: int | None = None
    ) -> str:
        """Pause, resume or backfill a schedule; see `Stage.operate_schedule`."""
        scheduler = self._world.node.scheduler
        return await self._do(
            lambda: self._world.call(lambda: scheduler.operate(action, name, first_ms=first_ms, last_ms=last_ms))
        )

    async def manage(self, action: str, handler: str, **options: int) -> dict[str, int | str]:
        """Replay or retire a handler ("replay", "retire"), as `Stage.replay` and `Stage.retire` do; then settle."""
        told = await self._do(lambda: self._world.manage(action, handler, options))
        await self.settle()
        return told

    async def pause(self, name: str) -> None:
        """Pause a handler ("payment.charge") or a service ("payment"), as an operator would."""
        await self._do(lambda: self._world.call(lambda: self._world.node.flow.pauses.pause(name, by="the test")))

    async def resume(self, name: str) -> None:
        """Let a paused handler or service go on."""
        await self._do(lambda: self._world.call(lambda: self._world.node.flow.pauses.resume(name)))

    async def complete(self, token: str, value: object = None) -> str:
        """Complete a step from outside, as `stage.complete` does; if the node dies meanwhile, it is sent again."""
        return await self._tell(token, encode_any(value), None, None)

    async def fail_from_outside(self, token: str, error: str | BaseException) -> str:
        """Let an attempt of a step fail from outside, as `stage.fail` does."""
        return await self._tell(token, None, *outcome_of(error))

    async def _tell(self, token: str, data: bytes | None, error: str | None, kind: str | None) -> str:
        world = self._world
        return await self._do(lambda: world.call(lambda: world.node.completions.complete(token, data, error, kind)))

    # Faults, from now on.

    def apply(self, *faults: Fault) -> None:
        """Let faults that are given as values happen: `Fail`, `Stub`, `Delay` and `Crash` of `onstage.testing`."""
        for fault in faults:
            self._world.faults.plan(fault)

    def fail(self, step: Step[..., Any], error: BaseException, *, times: int = 1) -> None:
        """Let the next attempts of this step fail with `error`, before its effect."""
        self.apply(Fail(step, error, times))

    def stub(self, step: Step[..., R], value: R | Callable[..., R | Awaitable[R]]) -> None:
        """Replace the step's function: by one with the same parameters, or by a value."""
        self.apply(Stub(step, value))

    def delay(self, step: Step[..., Any], duration: str | timedelta | float) -> None:
        """Let every attempt of this step take so much longer; its `timeout` counts it."""
        self.apply(Delay(step, duration))

    def crash(self, service: Service, *, after: Step[..., Any]) -> None:
        """Let the node die right after the next effect of this step in a handler of `service`, before its commit."""
        self.apply(Crash(service, after))

    # What became of it.

    def calls(self, step: Step[..., Any]) -> int:
        """How many attempts of this step there were, failed ones included."""
        return self._world.faults.calls[step]

    def emitted(self, cls: type[E]) -> list[E]:
        """Every stored event of this class, in order, those from outside included."""
        return self._ask(lambda history: history.emitted(cls))

    def outcome(self, key: str) -> str | None:
        """The class name of the event that ended the newest process with this key; None if none did yet."""
        return self._ask(lambda history: history.outcome(key))

    def verdict(self, key: str) -> Verdict:
        """Where the newest process with this key stands. Raises LookupError if there is none."""
        return self._ask(lambda history: history.verdict(key))

    def history(self, key: str) -> str:
        """The process as text: its events, who dealt with them, and what they did, call by call."""
        return self._ask(lambda history: history.history(key))

    def read(self, question: Callable[[Reader], Coroutine[Any, Any, T]]) -> T:
        """Ask the store's reader: `sim.read(lambda reader: reader.processes())`."""
        world = self._world
        return self._thread.submit(lambda: world.call(lambda: question(world.node.store.reader))).result()

    @property
    def trace_hash(self) -> str:
        """The hash of every emission, step call, commit, batch and kill so far, in order."""
        return self._world.trace_hash

    @property
    def clock(self) -> VirtualClock:
        """The world's clock."""
        return self._world.clock

    @property
    def world(self) -> World:
        """The world itself, for those who test the engine. Touch it between calls only."""
        return self._world

    # Every crash.

    async def every_crash(self, scenario: Callable[[Sim], Awaitable[None]]) -> int:
        """Play `scenario` in fresh worlds: once undisturbed, then once for every point where the node can die.

        The points are before and after each batch of commits becomes durable; the node starts again at once. Answers
        how many there were. Raises AssertionError that names the point, from what the scenario raised there.
        """
        async with Sim(self.app, seed=self.seed, faults=self._faults) as undisturbed:
            await scenario(undisturbed)
            batches = undisturbed.world.batches
            points = [point for point in undisturbed.world.boundaries if point[1] in PHASES]
        for batch, phase in points:
            await self._crash_at(batch, phase, batches, scenario)
        return len(points)

    async def _crash_at(self, batch: int, phase: str, batches: int, scenario: Callable[[Sim], Awaitable[None]]) -> None:
        doomed = Sim(self.app, seed=self.seed, faults=self._faults)
        doomed._kills_at = {(batch, phase)}
        async with doomed as sim:
            try:
                await scenario(sim)
                assert sim.world.kills, "this point was not reached: the run is not repeatable"
            except Exception as error:
                raise AssertionError(f"with a crash {phase} batch {batch} of {batches}: {error}") from error

    # The bridge.

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _ask(self, question: Callable[[SimHistory], Coroutine[Any, Any, T]]) -> T:
        return self.read(lambda reader: question(SimHistory(reader, self._world.node.types)))
