"""A simulated world: the real engine and the real SQLite store on virtual time, killed and started again at will.

Theory of operation. All of it runs in one thread, inside calls of `World`; between them the world stands still. A kill
leaves the loop with `Killed`: nothing of that node ever runs again, not even a `finally`. A new node then starts on the
same file and a new loop, at the time at which the old one died, and what was asked of the world is asked once more, as
a client would.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import msgspec

from onstage.errors import UsageError
from onstage.events.answer import START_PREFIX, START_SOURCE
from onstage.events.event import event_type
from onstage.events.receipt import Status
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.stores.sealed_store import SealedStore
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.inline_workers import InlineWorkers
from onstage.testing.sim_faults import Faults
from onstage.testing.virtual_clock import START_MS, VirtualClock
from onstage.testing.virtual_loop import Killed, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from onstage.app import App
    from onstage.core.commit import Commit
    from onstage.events.delayed import When

__all__ = ["SETTLE_S_MAX", "World"]

T = TypeVar("T")
SETTLE_S_MAX: Final = 3600.0
"""How much virtual time `settle` lets pass at most for running steps and for retries."""

PAGE: Final = 1000


@final
class World:
    """One node on one file. Call it from one thread only."""

    def __init__(
        self,
        app: App,
        seed: int,
        path: Path,
        *,
        synchronous: str = "OFF",
        vfs: str | None = None,
        start_s: float = 0.0,
    ) -> None:
        """Nothing runs before `start`. `path` is the store's file, `vfs` the SQLite VFS that it is opened through.

        `synchronous` is off because a kill loses nothing that was written; a power cut does, so its tests say FULL.
        """
        self._app = app
        self.path = path
        self._synchronous = synchronous
        self._vfs = vfs
        self._trace = blake2b(digest_size=16)
        self._graveyard: list[VirtualLoop] = []
        self.loop = VirtualLoop(start_s)
        self.clock = VirtualClock(seed, self._time_s)
        self.faults = Faults(self.note, self._kill_soon)
        self.store: SqliteStore
        self.node: Node
        self.kills = 0
        self.batches = 0
        self.boundaries: list[tuple[int, str]] = []
        self.kills_at: set[tuple[int, str]] = set()
        self.judged: dict[int, None] = {}

    def _time_s(self) -> float:
        return self.loop.time()

    def _kill_soon(self) -> None:
        self.loop.kill_soon()

    # Living and dying.

    def start(self) -> None:
        """Start a node on the file. If it dies on the way, another one is started."""
        try:
            self.loop.run_until_complete(self._open())
        except Killed:
            self.restart()
            return
        self._refuse_if_broken()

    async def _open(self) -> None:
        workers = InlineWorkers()
        self.store = SqliteStore(
            self.path,
            clock=self.clock,
            workers=workers,
            synchronous=self._synchronous,
            probe=self._at_boundary,
            vfs=self._vfs,
            offload_above=self._app.offload_above,
        )
        append = self.store.append

        def appended(commit: Commit) -> int:
            self.note("commit", msgspec.structs.replace(commit, transaction=None))
            self.judged.update(dict.fromkeys(row.process for row in commit.progress))
            return append(commit)

        self.store.append = appended
        self.node = Node(
            self._app.services,
            self._app.processes,
            store=self.store if self._app.codec is None else SealedStore(self.store, self._app.codec),
            clock=self.clock,
            workers=workers,
            invoke=self.faults.invoke,
        )
        await self.node.start()
        self.node.recovery.close()  # `settle` looks for stranded executions itself, and takes none

    def _at_boundary(self, phase: str) -> None:
        """Called by the store before it writes a batch, before it commits it, and after."""
        self.batches += phase == "before"
        self.boundaries.append((self.batches, phase))
        self.note("batch", self.batches, phase)
        if (self.batches, phase) in self.kills_at:
            raise Killed

    def restart(self) -> None:
        """Let the node die here and now, and start another one."""
        self.kills += 1
        self.note("kill", self.loop.time())
        self.loop.is_dead = True
        self._graveyard.append(self.loop)
        self.store.abandon()
        self.loop = VirtualLoop(self.loop.time())
        self.start()

    def deploy(self, app: App) -> None:
        """The same, with another version of the application."""
        self._app = app
        self.restart()

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the world to its end; if the node dies meanwhile, make and run it again."""
        while True:
            try:
                answer = self.loop.run_until_complete(make())
            except Killed:
                self.restart()
                continue
            self._refuse_if_broken()
            return answer

    def close(self) -> None:
        """Stop the node and bury the dead."""
        try:
            if not self.loop.is_closed() and hasattr(self, "node"):
                self.loop.run_until_complete(self.node.close(grace_s=0))
        finally:
            self.loop.is_dead = True
            for loop in (*self._graveyard, self.loop):
                loop.bury()

    # Time.

    def settle(self) -> None:
        """Run until nothing is ready or running, letting time pass for running steps and for retries only."""
        give_up_s = self.loop.time() + SETTLE_S_MAX
        self._run_to(self.loop.time())
        while (next_s := self._goes_on_at(give_up_s)) is not None:
            self._run_to(next_s)
        stranded = self.call(self._sweep)
        assert not stranded, f"{stranded} open executions had neither a place in memory nor a time to wake up"

    def advance(self, duration_s: float) -> None:
        """Let so much time pass, with everything that falls due; then settle."""
        end_s = round(self.loop.time() + duration_s, 3)
        self._run_to(end_s)
        self.settle()

    def _run_to(self, end_s: float) -> None:
        while True:
            try:
                self.loop.run_to(end_s)
            except Killed:
                self.restart()
                continue
            self._refuse_if_broken()
            return

    def _goes_on_at(self, give_up_s: float) -> float | None:
        """The time to go to while something still runs or is about to be tried again; None if all is at rest."""
        next_s = self.loop.next_timer_s
        watchers = (self.node.monitor, self.node.hopeless)
        if any(each is not None and each.is_behind for each in watchers) and next_s is not None and next_s <= give_up_s:
            return next_s
        if self.node.dispatcher.busy or self.store.undurable:
            if next_s is None or next_s > give_up_s:
                running = sorted(frame.reaction.name for frame in self.node.dispatcher.running.values())
                raise AssertionError(
                    f"the world does not come to rest: {', '.join(running) or 'the store'} still at work after "
                    f"{SETTLE_S_MAX:g} s of virtual time\n  why: it waits for something that never happens\n"
                    "  to do: look at what that handler awaits"
                )
            return next_s
        limited_s = self.node.flow.due_s
        if limited_s is not None and limited_s <= give_up_s:
            return max(limited_s, self.loop.time())
        dues = [view.due for view in self.call(self._retrying) if view.due is not None]
        if not dues:
            return None
        due_s = (min(dues) - START_MS) / 1000
        if due_s <= self.loop.time():  # it is held up by something: go on as time does
            due_s = self.loop.time() if next_s is None else next_s
        return None if not self.loop.time() < due_s <= give_up_s else due_s

    async def _sweep(self) -> int:
        return await self.node.recovery.sweep()

    async def _retrying(self) -> list[Any]:
        return await self.store.reader.executions(statuses=[Status.RETRYING], limit=PAGE)

    def _refuse_if_broken(self) -> None:
        if self.loop.broken:
            context = self.loop.broken.pop()
            raise AssertionError(f"something broke on the loop: {context.get('message')}") from context.get("exception")

    # Doors.

    def manage(self, action: str, handler: str, options: dict[str, int]) -> dict[str, int | str]:
        """Replay or retire a handler; asked again if the node dies before it answers."""
        return self.call(lambda: LocalWays(self.node).manage(action, handler, options))

    def emit(self, event: object, id: str | None, process: str | None, when: When | None) -> str:
        """Emit as a client would: the id is drawn once, and the event sent again if the answer was lost."""
        known = event_type(type(event))
        data, identity = known.encode(event), id or self.clock.token(8).hex()
        self.note("emit", known.name, identity, data)
        return self.call(
            lambda: LocalWays(self.node).emit(known.name, data, id=identity, source=None, process=process, when=when)
        )

    def begin(self, type: str, data: bytes, id: str | None, key: str | None) -> str:
        """Ask, or start a workflow, as a client would; answers the public id of the request."""
        identity = id or self.clock.token(8).hex()
        self.note("begin", type, identity, data)
        workflow = type.removeprefix(START_PREFIX)
        source = f"//sim/{type}" if workflow == type else f"{START_SOURCE}/{workflow}"
        start = {"type": type, "data": data, "id": identity, "source": source, "key": key, "timeout_s": None}
        return self.call(lambda: LocalWays(self.node).begin(start))

    def control(self, action: str, event: str, note: str | None = None) -> str:
        """Act on what answers this request. Raises UsageError; if the node died, it may have been done, and is told."""
        kills = self.kills
        try:
            return self.call(lambda: LocalWays(self.node).control(action, event, note=note))
        except UsageError as error:
            if self.kills == kills:
                raise
            return str(error)

    def fork(self, event: str, step: str, id: str | None) -> str:
        """Fork a workflow as a client would: the id is drawn once."""
        identity = id or self.clock.token(8).hex()
        self.note("fork", event, step, identity)
        return self.call(lambda: LocalWays(self.node).fork(event, step, identity))

    # The trace.

    def note(self, *what: Any) -> None:
        """Add to the trace: everything that happens, in order."""
        self._trace.update(msgspec.msgpack.encode(what))

    @property
    def trace_hash(self) -> str:
        """The hash of everything that happened so far."""
        return self._trace.hexdigest()
