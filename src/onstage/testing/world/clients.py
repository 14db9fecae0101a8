"""The clients of a world: they send again until they are answered, through all deaths of the node."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, final

from onstage.errors import DuplicateId, InvalidEvent, OnstageError, StoreUnavailable
from onstage.runtime.local_ways import LocalWays
from onstage.testing.checks.acknowledgements import identity_of
from onstage.testing.checks.told_verdicts import FINAL, truths
from onstage.testing.world.plan import Ask, Deed, Emit, Perform
from onstage.testing.world.plays.play import Scene
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from onstage.testing.world.life import Life
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.swarm import Swarm
    from onstage.testing.world.tape import Stream

__all__ = ["Clients"]

PAUSE_S: Final = 0.5
"""So long a client waits before it sends again, twice as long each time that the store is in trouble."""

PAUSE_S_MAX: Final = 16.0
EARLY_S: Final = 0.01


@final
class Clients:
    """All clients of one world."""

    def __init__(self, swarm: Swarm, onlooker: Onlooker, chance: Stream) -> None:
        """Nobody has done anything yet. `chance` is for what somebody does who acts in a play."""
        self._swarm = swarm
        self._chance = chance
        self._observer = onlooker
        self._life: Life | None = None
        self.emits: list[Emit] = []
        self.processes: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def are_done(self) -> bool:
        """Whether every client has its answer."""
        return all(emit.is_over for emit in self.emits)

    def move_to(self, life: Life) -> None:
        """The node was started anew: whoever has no answer sends again, and some ask at once how things stand."""
        self._life = life
        self._tasks.clear()
        for which in (0, -1):
            if self.processes and self._swarm.strikes(Fault.ASKED_AT_ONCE):
                self._spawn(self._ask(self.processes[which], 0.0))
        for emit in self.emits:
            if emit.is_under_way and not emit.is_gone:
                self._observer.marks.add("a client's answer was lost with the node")
                self._send(emit)

    def go_away(self) -> None:
        """All clients are gone at once, and never ask what became of what they sent."""
        for emit in self.emits:
            emit.is_gone = emit.is_gone or not emit.is_over
        for task in tuple(self._tasks):
            task.cancel()

    def begin(self, deed: Deed) -> None:
        """A client begins to do something."""
        if isinstance(deed, Ask):
            if self.processes:
                self._spawn(self._ask(self.processes[deed.which % len(self.processes)], deed.timeout_s))
            return
        if isinstance(deed, Perform):
            self._spawn(self._perform(deed))
            return
        if deed.into is not None and self.processes:
            deed.process = self.processes[deed.into % len(self.processes)]
        self.emits.append(deed)
        self._send(deed)

    def _spawn(self, work: object) -> asyncio.Task[None]:
        assert self._life is not None, "clients begin when there is a node"
        task: asyncio.Task[None] = self._life.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _send(self, emit: Emit) -> None:
        emit.is_under_way = True
        task = self._spawn(self._emit(emit))
        assert self._life is not None, "clients begin when there is a node"
        life = self._life

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() and life is self._life and not life.loop.is_dead and not emit.is_gone:
                self._send(emit)  # it was cancelled before it had begun

        task.add_done_callback(ended)
        if self._swarm.strikes(Fault.CANCELLED):
            self._life.loop.call_later((0.0, 0.01, 1.0)[self._swarm.amount(Fault.CANCELLED, 3)], task.cancel)

    async def _emit(self, emit: Emit) -> None:
        life = self._life
        assert life is not None, "clients begin when there is a node"
        pause_s = PAUSE_S
        while not emit.is_over:
            try:
                await self._attempt(life, emit)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None, "a client is a task"
                task.uncancel()
            except StoreUnavailable:
                self._observer.marks.add("a client was refused because the store was in trouble")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
        emit.is_under_way = False

    @staticmethod
    async def _sent(ways: LocalWays, emit: Emit) -> str:
        if emit.starts is None:
            return await ways.emit(
                emit.type.name, emit.data, id=emit.id, source=None, process=emit.process, when=emit.when
            )
        start = {"type": emit.type.name, "data": emit.data, "id": emit.id, "source": None}
        return await ways.begin(start | {"key": emit.id, "timeout_s": None})

    async def _attempt(self, life: Life, emit: Emit) -> None:
        onlooker = self._observer
        finished = emit.process is not None and truths(onlooker.rows, emit.process) <= FINAL
        knew = bool(onlooker.rows("select 1 from onstage_door where identity = ?", identity_of(emit.id)))
        try:
            process = await self._sent(LocalWays(life.node), emit)
        except DuplicateId:
            onlooker.marks.add("another payload under a known id was refused")
            emit.refused = "duplicate"
            return
        except InvalidEvent as error:
            emit.refused = "invalid"
            if not emit.is_bad:
                onlooker.complain("I10", f"a good event was refused: {error}")
            return
        if knew:
            onlooker.marks.add("a duplicate was found at the door")
        if emit.is_bad:
            onlooker.complain("I10", "an event beyond the limit, or of another shape, was accepted")
        onlooker.answered(identity_of(emit.id), process, emit.id)
        if finished and not knew:
            onlooker.marks.add("an event joined a finished process")
        if self._swarm.strikes(Fault.LOST_ANSWER):
            await asyncio.sleep(PAUSE_S)
            return
        emit.accepted = process
        if process not in self.processes:
            self.processes.append(process)

    async def _perform(self, deed: Perform) -> None:
        life = self._life
        assert life is not None, "clients begin when there is a node"
        try:
            await deed.act.do(Scene(LocalWays(life.node), self._observer, self._chance))
        except (OnstageError, LookupError) as error:
            self._observer.note("act", type(error).__name__)

    async def _ask(self, process: str, timeout_s: float) -> None:
        life = self._life
        assert life is not None, "clients begin when there is a node"
        before, began_s = truths(self._observer.rows, process), life.loop.time()
        try:
            verdict = await LocalWays(life.node).verdict(process, timeout_s)
        except (StoreUnavailable, LookupError) as error:
            if isinstance(error, LookupError):
                self._observer.complain("I10", f"{error}, and it was acknowledged")
            return
        self._observer.told(process, verdict, before if timeout_s == 0 else set())
        waited_s = life.loop.time() - began_s
        if verdict.status not in FINAL and waited_s < timeout_s - EARLY_S:
            self._observer.complain("I7", f"{verdict} was said of {process} after {waited_s} s, not {timeout_s}")
