"""The clients of a world: they send again until they are answered, through all deaths of the node."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, final

from onstage.errors import DuplicateId, InvalidEvent, StoreUnavailable
from onstage.events.event import event_type
from onstage.runtime.admission import OWN_SOURCE
from onstage.runtime.local_ways import LocalWays
from onstage.testing.checks.told_verdicts import FINAL, truths
from onstage.testing.world.plan import Ask, Deed, Emit
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from onstage.testing.world.life import Life
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.swarm import Swarm

__all__ = ["Clients", "identity_of"]

PAUSE_S: Final = 0.5
"""So long a client waits before it sends again, twice as long each time that the store is in trouble."""

PAUSE_S_MAX: Final = 16.0
EARLY_S: Final = 0.01


def identity_of(id: str) -> bytes:
    """The identity under which the store keeps an event of these clients."""
    return blake2b(f"{OWN_SOURCE}\0{id}".encode(), digest_size=16).digest()


@final
class Clients:
    """All clients of one world."""

    def __init__(self, swarm: Swarm, onlooker: Onlooker) -> None:
        """Nobody has done anything yet."""
        self._swarm = swarm
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
        known, pause_s = event_type(type(emit.event)), PAUSE_S
        while not emit.is_over:
            try:
                await self._attempt(life, emit, known.name)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None, "a client is a task"
                task.uncancel()
            except StoreUnavailable:
                self._observer.marks.add("a client was refused because the store was in trouble")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
        emit.is_under_way = False

    async def _attempt(self, life: Life, emit: Emit, type_name: str) -> None:
        onlooker = self._observer
        finished = emit.process is not None and truths(onlooker.rows, emit.process) <= FINAL
        knew = bool(onlooker.rows("select 1 from onstage_door where identity = ?", identity_of(emit.id)))
        try:
            process = await LocalWays(life.node).emit(
                type_name, emit.data, id=emit.id, source=None, process=emit.process
            )
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
