"""A stage: an application on a store. Entered, it is a node that runs all services, or a client of the one that is."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, final

from onstage.asking_outside import AskingOutside
from onstage.core.identity import number_in
from onstage.embedding.embeddable import Embeddable
from onstage.errors import InvalidEvent, NodeRunning, StoreUnavailable
from onstage.events.delayed import When, when_of
from onstage.events.envelope import Envelope, from_json
from onstage.events.event import event_type
from onstage.managing import Manageable
from onstage.ports.clock import SystemClock
from onstage.process_handle import ProcessHandle
from onstage.runtime.intake import process_known_as
from onstage.runtime.local_door import LocalDoor
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import DRAIN_S, Node
from onstage.runtime.remote_door import Moved, RemoteDoor, call_when_running
from onstage.runtime.wire import from_outside, of_process
from onstage.telemetry.trace_context import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from onstage.observe.verdict import Verdict
    from onstage.ports.store import Reader

__all__ = ["Stage"]

T = TypeVar("T")
Duration = str | timedelta | float
SAME_KEY_MAX: Final = 20
ENTRIES_MAX: Final = 3
MOVES_MAX: Final = 10
log = logging.getLogger("onstage.node")


@final
class Stage(AskingOutside, Embeddable, Manageable):
    """An application on a store, made by `App.run` and `connect`. Use it as an async context manager.

    Inside, it is a node that runs all services; if another node has the store, a client of that node; and with
    `client_only`, a client always. A client whose node is gone holds the store itself, runs no handler, and makes way
    for the next node.
    """

    def __init__(
        self,
        make_node: Callable[[bool], Node],
        *,
        path: Path | None,
        reader: Callable[[], Reader] | None = None,
        make_holder: Callable[[], Node] | None = None,
        client_only: bool = False,
    ) -> None:
        """`make_node(dispatch)` makes the node; `path` is the store's file, None for one that is only in memory.

        `make_holder` makes the node of a client that takes the store over: it runs nothing and waits for no lock.
        """
        self._make_node = make_node
        self._make_holder = make_holder
        self._path = path
        self._open_reader = reader
        self._client_only = client_only
        self._ways: LocalWays | RemoteDoor | None = None
        self._node: Node | None = None
        self._door: LocalDoor | None = None
        self._letting_go: asyncio.Task[None] | None = None
        self._moving = asyncio.Lock()
        self._token: Callable[[int], bytes] = SystemClock().token
        self.drain_s: float = DRAIN_S
        self.on_broker: Callable[[str | None], None] | None = None
        """Told once why the broker is away, and None when it is back; without it the log says so. Set it before."""

    # Entering and leaving.

    async def __aenter__(self) -> Self:
        """Begin. Raises StoreUnavailable, SchemaTooNew, or NodeRunning if the store is taken by what is no node."""
        self._moving = asyncio.Lock()
        self.loop = asyncio.get_running_loop()
        refused: NodeRunning | None = None
        for _ in range(ENTRIES_MAX):
            remote = None if self._path is None else await call_when_running(self._path)
            if remote is not None and (remote.runs or self._client_only):
                return self._become_client(remote)
            if remote is not None:
                await remote.make_way()
                await remote.close()
            elif refused is not None:
                raise refused
            try:
                await self._become_node(self._make_node(not self._client_only))
                await self._begin_meters()
            except NodeRunning as error:
                refused = error  # perhaps by a client that was quicker, which makes way when it is asked
                continue
            return self
        assert refused is not None, "only a refusal leads to another attempt"
        raise refused

    async def _become_node(self, node: Node) -> None:
        door = None
        try:
            await node.start()
            ways = LocalWays(node, None if node.dispatches else self._step_back)
            if self._path is not None:
                door = LocalDoor(self._path, ways)
                await door.open()
            if node.dispatches and self.intake is not None:
                await self.intake.start(ways)
        except BaseException:
            if door is not None:
                await door.close()
            await node.close(grace_s=0)
            raise
        self._node, self._door, self._ways = node, door, ways

    async def _take_over(self, remote: RemoteDoor) -> None:
        """The node is gone: hold the store in its place, if nobody else does."""
        async with self._moving:
            if self._ways is not remote or self._make_holder is None:
                return
            if self._letting_go is not None:
                await asyncio.wait([self._letting_go])  # it goes on if whoever asks here is cancelled
            try:
                await self._become_node(self._make_holder())
            except NodeRunning:
                return  # it will answer soon, or it is stopped for good and frees the lock
            await remote.close()
            log.warning("the node on %s is gone; until one starts, this client stores events itself", self._path)

    def _step_back(self) -> None:
        """Give the store to the node that asks for it, and go on as its client."""
        node, door, path = self._node, self._door, self._path
        if node is None or door is None or path is None:
            return
        self._node = self._door = None
        self._ways = RemoteDoor(path, self._take_over)

        async def let_go() -> None:
            await door.close()
            await node.close(grace_s=0)

        self._letting_go = asyncio.get_running_loop().create_task(let_go())

    def _become_client(self, remote: RemoteDoor) -> Self:
        if not self._client_only:
            log.warning(
                "another node (process %s) runs on %s; this one publishes and queries through it",
                remote.pid,
                self._path,
            )
        remote.take_over = self._take_over
        self._ways = remote
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drain and stop: running steps finish within `drain_s`, everything accepted is durable."""
        self.loop = None
        self._end_meters()
        if self.intake is not None:
            await self.intake.close()
        async with self._moving:
            if self._letting_go is not None:
                await self._letting_go
            if self._door is not None:
                await self._door.close()
            if self._node is not None:
                await self._node.close(grace_s=self.drain_s)
            ways = self._ways
            self._ways = self._node = self._door = None
            if isinstance(ways, RemoteDoor):
                await ways.close()

    # Using it.

    @property
    def is_node(self) -> bool:
        """Whether this stage runs the services itself."""
        return self._node is not None and self._node.dispatches

    @property
    def has_node(self) -> bool:
        """Whether somebody runs the services: this stage, or the node that it is a client of."""
        return self.is_node or (isinstance(self._ways, RemoteDoor) and self._ways.runs)

    async def emit(
        self,
        event: object,
        *,
        id: str | None = None,
        process: ProcessHandle | str | None = None,
        after: Duration | None = None,
        at: datetime | None = None,
        expires: Duration | datetime | None = None,
    ) -> ProcessHandle:
        """Emit an event from outside; when this returns, it is durable.

        The same `id` twice is the same event. It joins the open process that has its key and knows its type, or the
        running workflow with that id that waits for it, or is the root of a new one; `process=` says it outright. With
        `after` ("10m", on the node's clock) or `at` it is kept until then, and its process is open from now on. From
        `expires` on, a moment or a time counted from when it is due, no handler begins with it any more.

        Raises InvalidEvent, DuplicateId, AmbiguousProcess, StoreUnavailable, UsageError for a moment without a time
        zone, ValueError for what is no duration; then nothing is stored.
        """
        when = when_of(after=after, at=at, expires=expires)
        known = event_type(type(event))
        data = known.encode_from_outside(event)
        return await self._emit(known.name, data, id=id, source=None, process=process, when=when)

    async def emit_envelope(
        self, envelope: Envelope | bytes, *, after: Duration | None = None, at: datetime | None = None
    ) -> ProcessHandle:
        """Emit a CloudEvent from elsewhere, recognised by its source and id. Bytes are its JSON form.

        Its `expirytime` is heeded; `after` and `at` are those of `emit`.
        """
        if isinstance(envelope, bytes):
            envelope = from_json(envelope)
        data = envelope.data
        if not isinstance(data, bytes):
            raise InvalidEvent(f"{envelope.type}: there is no data")
        return await self._emit(
            envelope.type,
            data,
            id=envelope.id,
            source=envelope.source,
            extra=from_outside(envelope),
            when=None if after is None and at is None else when_of(after=after, at=at, expires=envelope.expirytime),
        )

    async def emit_envelopes(
        self, envelopes: Sequence[Envelope], *, go_on: bool = False
    ) -> list[ProcessHandle | Exception]:
        """Emit CloudEvents with a payload each, in this order; answers what became of each, once it is durable.

        That is its process, or the error that refused it: nothing of that event is stored. Unless `go_on`, the first
        refusal is the last answer, and nothing behind it is stored either. Raises InvalidEvent, before any is stored,
        for attributes that no JSON can carry; and StoreUnavailable: then it is not known how many of the first ones
        are stored, and repeating all of them is safe if they have ids.
        """
        events = [
            {
                "type": e.type,
                "data": e.data,
                "id": self._own(e.id),
                "source": e.source,
                "process": None,
                "extra": from_outside(e),
            }
            for e in envelopes
        ]
        answers: list[str | Exception] = []
        while events:
            rest = events
            more = await self._through(lambda ways: ways.emit_all(rest, go_on=go_on))  # noqa: B023  awaited here
            if not isinstance(more[-1], StoreUnavailable):
                answers += more
                break
            answers += more[:-1]  # what the door did not come to is asked once more, of whoever has the store by now
            events = events[len(more) - 1 :]
        return [answer if isinstance(answer, Exception) else ProcessHandle(answer, self) for answer in answers]

    async def _emit(
        self,
        type: str,
        data: bytes,
        *,
        id: str | None,
        source: str | None,
        process: ProcessHandle | str | None = None,
        extra: bytes | None = None,
        when: When | None = None,
    ) -> ProcessHandle:
        joined = process.id if isinstance(process, ProcessHandle) else process
        own = self._own(id)
        if extra is None and (trace := current()) is not None:
            extra = of_process(None, trace=trace)
        wire = await self._through(
            lambda ways: ways.emit(type, data, id=own, source=source, process=joined, extra=extra, when=when)
        )
        return ProcessHandle(wire, self)

    def _own(self, id: str | None) -> str | None:
        """The event's id; a client draws one if it has none, before the first attempt.

        So a repetition is recognised by whoever has the store by then.
        """
        return id or (None if self.is_node else self._token(16).hex())

    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict:
        """The verdict on the process with this public id; see `ProcessHandle.verdict`."""
        loop = asyncio.get_running_loop()
        give_up = None if timeout_s is None else loop.time() + timeout_s

        def left_s() -> float | None:
            return None if give_up is None else max(0.0, give_up - loop.time())

        return await self._through(lambda ways: ways.verdict(process, left_s()))

    async def _through(self, request: Callable[[LocalWays | RemoteDoor], Awaitable[T]], *, repeat: bool = True) -> T:
        """Ask at the present way to the store; ask again at the next one if the store changes hands meanwhile."""
        for _ in range(MOVES_MAX):
            ways = self._entered()
            try:
                return await request(ways)
            except Moved:
                if self._ways is None:
                    break
            except StoreUnavailable:
                if not repeat or self._ways in (ways, None):
                    raise
        raise StoreUnavailable(
            "the store changed hands too often, or this stage was left\n"
            "  why: whether anybody took the request is not known\n  to do: send the same event with the same id again"
        )

    async def process(self, key: str) -> ProcessHandle:
        """The newest process with this business key, a declared one first; or the one with this public id.

        Raises LookupError.
        """
        self._entered()
        async with self.reading() as reader:
            rows = await reader.processes(key=key, limit=SAME_KEY_MAX)
            if rows:
                declared = [row for row in rows if row.declared is not None]
                return ProcessHandle((declared or rows)[0].wire_id, self)
            number = number_in(key)
            row = None if number is None else await reader.process(number)
            if row is None or row.wire_id != key:
                number = await process_known_as(reader, key)
                row = None if number is None else await reader.process(number)
        if row is None:
            raise LookupError(f"there is no process with key or id {key}")
        return ProcessHandle(row.wire_id, self)

    def reading(self) -> _Reading:
        """Read the store: `async with stage.reading() as reader`. What it shows is durable."""
        # A client that holds the store reads on a connection of its own: it may give the store away meanwhile.
        return _Reading(self._node if self.is_node or self._path is None else None, self._open_reader)

    def statistics(self) -> Mapping[str, int]:
        """Counters of the node's store since its start: batches (one fsync each), commits, refused."""
        if self._node is None:
            raise RuntimeError("this stage is not a running node\n  why: only a node counts\n  to do: ask the node")
        return self._node.store.statistics()

    async def operate(self, action: str, execution: int, *, by: str | None = None) -> str:
        """Retry or drop a dead letter by its execution number; answers what was done.

        With `by`, the name of an operator, it is written down in the audit log.
        """
        return await self._through(lambda ways: ways.operate(action, execution, by=by), repeat=False)

    def _entered(self) -> LocalWays | RemoteDoor:
        if self._ways is None:
            raise RuntimeError(
                "this stage is not entered\n  why: it runs nothing yet\n  to do: use `async with stage:`"
            )
        return self._ways


@final
class _Reading:
    """Gives the node's reader, or opens one of its own for as long as it is needed."""

    def __init__(self, node: Node | None, open_reader: Callable[[], Reader] | None) -> None:
        self._node = node
        self._open_reader = open_reader
        self._own: Any = None

    async def __aenter__(self) -> Reader:
        if self._node is not None:
            return self._node.store.reader
        if self._open_reader is None:
            raise RuntimeError("this stage is not entered")
        self._own = self._open_reader()
        reader: Reader = self._own
        return reader

    async def __aexit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.close()
