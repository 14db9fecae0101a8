"""A stage: an application on a store. Entered, it is a node that runs all services, or a client of the one that is."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, final

from onstage.core.identity import number_in
from onstage.errors import InvalidEvent, NodeRunning, StoreUnavailable
from onstage.events.duration import seconds
from onstage.events.envelope import Envelope, from_json
from onstage.events.event import event_type
from onstage.runtime.local_door import LocalDoor, RemoteDoor, call_when_running
from onstage.runtime.node import DRAIN_S, Node
from onstage.runtime.wire import check_outside, from_outside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import TracebackType

    from onstage.observe.verdict import Verdict
    from onstage.ports.store import Reader

__all__ = ["ProcessHandle", "Stage"]

Duration = str | timedelta | float
SAME_KEY_MAX: Final = 20
log = logging.getLogger("onstage.node")


class _Watching(Protocol):
    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict: ...


@final
class ProcessHandle:
    """A process that was begun or joined: its public id, and what may be said about it."""

    __slots__ = ("_ways", "id")

    def __init__(self, id: str, ways: _Watching) -> None:
        """Made by `emit` and `process` only."""
        self.id = id
        self._ways = ways

    async def verdict(self, *, timeout: Duration | None = 0) -> Verdict:
        """Wait for a final verdict for at most `timeout` (None: for ever), then answer the present one.

        What it says is durable. Raises LookupError if there is no such process.
        """
        return await self._ways.verdict_on(self.id, None if timeout is None else seconds(timeout))

    def __repr__(self) -> str:
        """The public id."""
        return f"Process[{self.id}]"


@final
class LocalWays:
    """The ways into a node that runs in this very process."""

    def __init__(self, node: Node, step_back: Callable[[], None] | None = None) -> None:
        """Into this node. A client that holds the store while no node runs gives `step_back`, to let one in."""
        self._node = node
        self._step_back = step_back

    @property
    def runs(self) -> bool:
        """Whether this is a node that runs handlers, not a client that only holds the store."""
        return self._node.dispatches

    def make_way(self) -> None:
        """A node wants the store: a client that holds it lets go."""
        if self._step_back is not None:
            self._step_back()

    async def emit(
        self,
        type: str,
        data: bytes,
        *,
        id: str | None,
        source: str | None,
        process: str | None = None,
        extra: bytes | None = None,
    ) -> str:
        """Check, admit and make durable; answers the public id of the process."""
        node = self._node
        route, stored, key = node.admission.check(type, data)
        if extra is not None:
            check_outside(extra)
        joined = None if process is None else await self._present(process)
        number = await node.admission.emit(route, stored, key, id=id, source=source, process=joined, extra=extra)
        return node.numbers.identity.wire(number)

    async def _present(self, process: str) -> int:
        number = self.number(process)
        if await self._node.store.reader.process(number) is None:
            raise LookupError(f"there is no process {process} in this store")
        return number

    def number(self, process: str) -> int:
        """The number behind a public process id. Raises LookupError for an id of another store."""
        number = self._node.numbers.identity.local(process)
        if number is None:
            raise LookupError(f"there is no process {process} in this store")
        return number

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        """The verdict, after the durability barrier."""
        node = self._node
        live = frozenset(reaction.name for reaction in node.reactions.values()) if node.dispatches else None
        number = self.number(process)
        return await node.watch.verdict(number, timeout_s, live, known_open=node.admission.is_open(number))

    async def operate(self, action: str, execution: int) -> str:
        """Retry or drop a dead letter; answers what was done."""
        from onstage.runtime.operations import operate

        return await operate(self._node, action, execution)


@final
class Stage:
    """An application on a store, made by `App.run` and `connect`. Use it as an async context manager.

    Inside, it is a node that runs all services; if another node has the store, a client of that node; and with
    `client_only`, a client always.
    """

    def __init__(
        self,
        make_node: Callable[[bool], Node],
        *,
        path: Path | None,
        reader: Callable[[], Reader] | None = None,
        client_only: bool = False,
    ) -> None:
        """`make_node(dispatch)` makes the node; `path` is the store's file, None for one that is only in memory."""
        self._make_node = make_node
        self._path = path
        self._open_reader = reader
        self._client_only = client_only
        self._ways: LocalWays | RemoteDoor | None = None
        self._node: Node | None = None
        self._door: LocalDoor | None = None
        self._letting_go: asyncio.Task[None] | None = None
        self.drain_s: float = DRAIN_S

    # Entering and leaving.

    async def __aenter__(self) -> Self:
        """Begin. Raises StoreUnavailable, SchemaTooNew, or NodeRunning if the store is taken by what is no node."""
        if self._path is not None and (remote := await call_when_running(self._path)) is not None:
            if remote.runs or self._client_only:
                return self._become_client(remote)
            await remote.make_way()
            await remote.close()
        node = self._make_node(not self._client_only)
        try:
            await node.start()
        except NodeRunning:
            await node.close(grace_s=0)
            remote = None if self._path is None else await call_when_running(self._path)
            if remote is None:
                raise
            return self._become_client(remote)
        except BaseException:
            await node.close(grace_s=0)
            raise
        try:
            self._ways = LocalWays(node, None if node.dispatches else self._step_back)
            if self._path is not None:
                self._door = LocalDoor(self._path, self._ways)
                await self._door.open()
        except BaseException:
            self._ways = self._door = None
            await node.close(grace_s=0)
            raise
        self._node = node
        return self

    def _step_back(self) -> None:
        """Give the store to the node that asks for it, and go on as its client."""
        node, door, path = self._node, self._door, self._path
        if node is None or door is None or path is None:
            return
        self._node = self._door = None
        self._ways = RemoteDoor(path)

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
        self._ways = remote
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drain and stop: running steps finish within `drain_s`, everything accepted is durable."""
        if self._letting_go is not None:
            await self._letting_go
        if self._door is not None:
            await self._door.close()
        if self._node is not None:
            await self._node.close(grace_s=self.drain_s)
        if isinstance(self._ways, RemoteDoor):
            await self._ways.close()
        self._ways = self._node = self._door = None

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=stage.lifespan)`: the stage runs as long as the web application does."""
        async with self:
            yield

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
        self, event: object, *, id: str | None = None, process: ProcessHandle | str | None = None
    ) -> ProcessHandle:
        """Emit an event from outside; when this returns, it is durable.

        The same `id` twice is the same event. It joins the open process that has its key and knows its type, or is
        the root of a new one; `process=` says it outright.

        Raises InvalidEvent, DuplicateId, AmbiguousProcess, StoreUnavailable; then nothing is stored.
        """
        known = event_type(type(event))
        try:
            data = known.encode(event)
        except Exception as error:
            raise InvalidEvent(
                f"{known.name}: this {known.cls.__qualname__} cannot be encoded\n  why: {error}\n"
                f"  to do: correct it as the class at {known.where} says"
            ) from error
        return await self._emit(known.name, data, id=id, source=None, process=process)

    async def emit_envelope(self, envelope: Envelope | bytes) -> ProcessHandle:
        """Emit a CloudEvent from elsewhere, recognised by its source and id. Bytes are its JSON form."""
        if isinstance(envelope, bytes):
            envelope = from_json(envelope)
        data = envelope.data
        if not isinstance(data, bytes):
            raise InvalidEvent(f"{envelope.type}: there is no data")
        return await self._emit(
            envelope.type, data, id=envelope.id, source=envelope.source, extra=from_outside(envelope)
        )

    async def _emit(
        self,
        type: str,
        data: bytes,
        *,
        id: str | None,
        source: str | None,
        process: ProcessHandle | str | None = None,
        extra: bytes | None = None,
    ) -> ProcessHandle:
        ways = self._entered()
        joined = process.id if isinstance(process, ProcessHandle) else process
        wire = await ways.emit(type, data, id=id, source=source, process=joined, extra=extra)
        return ProcessHandle(wire, self)

    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict:
        """The verdict on the process with this public id; see `ProcessHandle.verdict`."""
        ways = self._entered()
        try:
            return await ways.verdict(process, timeout_s)
        except StoreUnavailable:
            if self._ways is ways or self._ways is None:
                raise
        return await self._entered().verdict(process, timeout_s)  # the store was given to a node meanwhile

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
            raise LookupError(f"there is no process with key or id {key}")
        return ProcessHandle(row.wire_id, self)

    def reading(self) -> _Reading:
        """Read the store: `async with stage.reading() as reader`. What it shows is durable."""
        return _Reading(self._node, self._open_reader)

    def statistics(self) -> Mapping[str, int]:
        """Counters of the node's store since its start: batches (one fsync each), commits, refused."""
        if self._node is None:
            raise RuntimeError("this stage is not a running node\n  why: only a node counts\n  to do: ask the node")
        return self._node.store.statistics()

    async def operate(self, action: str, execution: int) -> str:
        """Retry or drop a dead letter by its execution number; answers what was done."""
        return await self._entered().operate(action, execution)

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
