"""The lives of a tour: a node of one service, or the observer, each on a loop, a file and a line of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from onstage.runtime.node import Node
from onstage.runtime.observatory import Observatory
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.tour.line import Line
from onstage.testing.tour.repertory import OBSERVER
from onstage.testing.virtual_loop import Killed, VirtualLoop
from onstage.testing.world.flaws import FlawedWorkers
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from onstage.app import App
    from onstage.brokers.embedded import EmbeddedLog
    from onstage.core.commit import Commit
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome
    from onstage.testing.world.swarm import Swarm
    from onstage.testing.world.tape import Stream

__all__ = ["Member", "Stagehand"]


@final
class Stagehand:
    """What all lives of a world need of it."""

    def __init__(
        self,
        log: EmbeddedLog,
        swarm: Swarm,
        chance: Stream,
        *,
        may_crash: Callable[[], bool],
        note: Callable[..., None],
        closed: Callable[[str], None],
        app: App,
    ) -> None:
        """`note` is told of all commits, `closed` of each process that the observer says has ended."""
        self.log = log
        self.swarm = swarm
        self.chance = chance
        self.may_crash = may_crash
        self.note = note
        self.closed = closed
        self.app = app


@final
class Member:
    """One life of one node, or of the observer, from its start to its end."""

    def __init__(self, name: str, path: Path, clock: Clock, hand: Stagehand, start_s: float) -> None:
        """Not started; its file may be there from an earlier life."""
        self.name = name
        self.loop = VirtualLoop(start_s)
        self.loop.on_turn = self._at_turn
        self._path = path
        self._clock = clock
        self._hand = hand
        self.line = Line(hand.log, hand.swarm)
        self.node: Node | None = None
        self.observatory: Observatory | None = None
        self._stores: list[SqliteStore] = []
        self._starting: Task[None] | None = None
        self.is_up = False

    def begin(self) -> None:
        """Start, in the turns of the loop to come."""
        self._starting = self.loop.create_task(self._start())

    async def _start(self) -> None:
        if self.name == OBSERVER:
            await self._observe()
        else:
            await self._play()
        self.is_up = True

    async def _play(self) -> None:
        app, store = self._hand.app, self._store()
        self.node = Node(
            app.services,
            app.processes,
            store=store,
            clock=self._clock,
            workers=store._workers,  # noqa: SLF001  one queue for both, as in a plain world
            broker=self.line,
            hosted=[self.name],
        )
        await self.node.start()

    async def _observe(self) -> None:
        observatory = Observatory(self.line, self._store, self._clock)
        told = observatory._on_batch  # noqa: SLF001  the seam of the checks

        def heard(outcome: BatchOutcome) -> None:
            told(outcome)
            for process in outcome.closed:
                self._hand.closed(str(process.process))

        observatory._on_batch = heard  # type: ignore[method-assign]  # noqa: SLF001
        self.observatory = observatory
        await observatory.start()

    def _store(self) -> SqliteStore:
        hand = self._hand
        workers = FlawedWorkers(hand.swarm, hand.chance)
        store = SqliteStore(
            self._path,
            clock=self._clock,
            workers=workers,
            synchronous="OFF",
            lock_wait_s=0.0,
            probe=self._at_boundary,
        )
        plain = store.append

        def appended(commit: Commit) -> int:
            if not self.loop.is_dead:
                hand.note(self.name, commit.execution, commit.status, [event.data for event in commit.events])
            return plain(commit)

        store.append = appended
        self._stores.append(store)
        return store

    @property
    def has_begun(self) -> bool:
        """Whether it has a store that it is at work on."""
        return bool(self._stores)

    @property
    def failure(self) -> BaseException | None:
        """Why it could not start, if it could not."""
        task = self._starting
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing of it is on its way to its own store."""
        return self.is_up and all(store.undurable == 0 for store in self._stores[-1:])

    # Dying.

    def _at_turn(self, loop: VirtualLoop) -> None:
        hand = self._hand
        fault = Fault.KILL_AT_TURN if self.is_up else Fault.KILL_IN_RECOVERY
        ready: Any = loop._ready  # noqa: SLF001
        if not hand.swarm.is_calm and hand.may_crash() and hand.swarm.strikes(fault):
            ready.insert(hand.swarm.amount(fault, len(ready) + 1), loop.killer())

    def _at_boundary(self, phase: str) -> None:
        hand = self._hand
        fault = Fault.KILL_AFTER_COMMIT if phase == "after" else Fault.KILL_BEFORE_COMMIT
        if hand.may_crash() and hand.swarm.strikes(fault):
            raise Killed

    def abandon(self) -> None:
        """The process is gone: nothing of this life runs any more."""
        self.loop.is_dead = True
        self.is_up = False
        for store in self._stores:
            store.abandon()
        self.line.abandon()
