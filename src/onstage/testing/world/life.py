"""One life of the node in a world: from its start to its kill, on a machine with flaws."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, final

from onstage.runtime.node import Node
from onstage.stores.sealed_store import SealedStore
from onstage.stores.sqlite import connection as files
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.virtual_loop import Killed
from onstage.testing.world.flaws import FlawedConnection, FlawedWorkers
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onstage.app import App
    from onstage.core.commit import Commit
    from onstage.ports.store import BatchOutcome, Declaration, Opened
    from onstage.ports.telemetry import Telemetry
    from onstage.testing.virtual_loop import VirtualLoop
    from onstage.testing.world.flaws import FlawedClock
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.power import Power
    from onstage.testing.world.swarm import Swarm
    from onstage.testing.world.tape import Stream

__all__ = ["Life"]

ITS_OWN: Final = ("onstage.runtime.", "onstage.stores.")
"""Where the classes are of which each node has objects of its own."""


@final
class Life:
    """A node on a file, on a loop of its own. `start` runs on that loop."""

    def __init__(
        self,
        app: App,
        loop: VirtualLoop,
        *,
        clock: FlawedClock,
        swarm: Swarm,
        chance: Stream,
        onlooker: Onlooker,
        may_crash: Callable[[], bool],
        power: Power,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Nothing runs yet. `chance` says how many turns late reports come, `may_crash` whether kills are left."""
        self._telemetry = telemetry
        self.loop = loop
        self._app = app
        self._clock = clock
        self._swarm = swarm
        self._chance = chance
        self._observer = onlooker
        self._may_crash = may_crash
        self._path = power.path
        self._power = power
        self._vfs = power.vfs_name
        self._synchronous = power.synchronous
        self.node: Node
        self.store: SqliteStore
        self.is_up = False
        self.batches = 0

    async def start(self) -> None:
        """Open the store and take up what is open."""
        workers = FlawedWorkers(self._swarm, self._chance)
        self.store = SqliteStore(
            self._path,
            clock=self._clock,
            workers=workers,
            synchronous=self._synchronous,
            lock_wait_s=0.0,
            probe=self._at_boundary,
            vfs=self._vfs,
            opener=self._power.opener,
            offload_above=self._power.offload_above,
        )
        self._watch_store()
        codec = self._power.codec
        store = self.store if codec is None else SealedStore(self.store, codec)
        self.node = Node(
            self._app.services,
            self._app.processes,
            store=store,
            clock=self._clock,
            workers=workers,
            telemetry=self._telemetry,
        )
        await self.node.start()
        self.is_up = True
        on_batch = self.store.on_batch

        def told(outcome: BatchOutcome) -> None:
            self._observer.batch(outcome)
            on_batch(outcome)

        self.store.on_batch = told

    def _watch_store(self) -> None:
        store, onlooker = self.store, self._observer
        plain_open, plain_append = store.open, store.append

        def appended(commit: Commit) -> int:
            if not self.loop.is_dead:  # a coroutine that is closed when its world ends says nothing
                onlooker.appended(commit, self._clock.now_ms(), self.loop.time())
            return plain_append(commit)

        async def opened(declaration: Declaration) -> Opened:
            answer = await plain_open(declaration)
            self._spoil_connection()
            self._slow_the_door()
            onlooker.open(self._power.look())
            onlooker.started()
            return answer

        store.append = appended
        store.open = opened  # type: ignore[method-assign]

    def _slow_the_door(self) -> None:
        """A store that reads over a network answers in a later turn: two clients with one id pass each other."""
        reader: Any = self.store.reader
        plain, swarm = reader.doors, self._swarm

        async def doors(identities: Sequence[bytes]) -> Any:
            found = await plain(identities)
            if swarm.strikes(Fault.SLOW_DOOR):
                await asyncio.sleep(0)
            return found

        reader.doors = doors

    def _spoil_connection(self) -> None:
        writer: Any = self.store._writer  # noqa: SLF001  the seam of the faults

        def flawed(connection: Any) -> Any:
            return FlawedConnection(connection, self._swarm, self.loop.time)

        writer._reopen = lambda: flawed(self._power.opener.open_writer(self._path, self._synchronous, self._vfs))  # noqa: SLF001
        writer.adopt(flawed(writer.connection))
        after_doubt = writer._after_doubt  # noqa: SLF001

        def looked_up(commits: list[Commit]) -> list[Commit]:
            doubted = writer._in_doubt is not None  # noqa: SLF001
            left: list[Commit] = after_doubt(commits)
            if doubted:
                happened = "had happened" if len(left) < len(commits) else "had not happened"
                self._observer.marks.add(f"a commit of unknown outcome {happened}")
            return left

        writer._after_doubt = looked_up  # noqa: SLF001

    def _at_boundary(self, phase: str) -> None:
        self._observer.note("batch", phase)
        self.batches += phase == "before"
        fault = Fault.KILL_AFTER_COMMIT if phase == "after" else Fault.KILL_BEFORE_COMMIT
        if self._may_crash() and self._swarm.strikes(fault):
            raise Killed

    # Dying.

    def abandon(self) -> None:
        """The process is gone: nothing of this life runs any more."""
        self.loop.is_dead = True
        self.is_up = False
        if hasattr(self, "store"):
            self.store.abandon()

    def fall_apart(self) -> None:
        """Let go of the node's parts, which know each other: then they are gone at once, without the collector."""
        for whole in (vars(self).pop("node", None), vars(self).pop("store", None)):
            for part in () if whole is None else (*vars(whole).values(), whole):
                if type(part).__module__.startswith(ITS_OWN) and hasattr(part, "__dict__"):
                    vars(part).clear()

    def leave_zombie(self) -> Callable[[], None]:
        """The process hangs and is taken for dead: its file is free. Answers how it goes on after another has started.

        It then writes what it had appended; all of that must be refused.
        """
        self.loop.is_dead = True
        self.is_up = False
        store: Any = self.store
        files.unlock(store._lock)  # noqa: SLF001
        store._lock = None  # noqa: SLF001
        writer = store._writer  # noqa: SLF001
        store._window._hand_over = writer._queue.append  # noqa: SLF001

        def write_once_more() -> None:
            store.flush()
            written = 0

            def tell(outcome: BatchOutcome, commits: int) -> None:
                nonlocal written
                written += commits - len(outcome.refused)
                self._observer.batch(outcome)

            writer._workers.post = lambda _: None  # noqa: SLF001
            writer._tell = tell  # noqa: SLF001
            writer._probe = lambda _: None  # noqa: SLF001
            if not writer._retry and writer._in_doubt is None:  # noqa: SLF001
                writer._commit(writer._queued())  # noqa: SLF001
            if written:
                self._observer.complain("I9", f"a writer that was taken for dead wrote {written} more commits")
            store.abandon()

        return write_once_more
