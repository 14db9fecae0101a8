"""The door for other processes on the same machine: a socket beside the running node.

The socket lies in the user's runtime directory, named by a hash of the store's path, and only its owner may connect.
Frames and messages stand in `door_messages`. The client draws an event's id once, before the first attempt, and sends
the same one again if the answer was lost; the node recognises it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, assert_never, final

import msgspec

from onstage import errors
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.observe.verdict import Verdict
from onstage.ports.clock import SystemClock
from onstage.runtime import door_messages as messages
from onstage.runtime.door_messages import AskVerdict, Emit, MakeWay, Operate, Ping, Reply, Request, frame
from onstage.runtime.error_text import said

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LocalDoor", "RemoteDoor", "call_when_running", "socket_path"]

ATTEMPTS_MAX: Final = 60
ATTEMPT_PAUSE_S: Final = 0.25
log = logging.getLogger("onstage.door")


class _Ways(Protocol):
    async def emit(
        self, type: str, data: bytes, *, id: str | None, source: str | None, process: str | None, extra: bytes | None
    ) -> str: ...
    async def verdict(self, process: str, timeout_s: float | None) -> Verdict: ...
    async def operate(self, action: str, execution: int) -> str: ...
    @property
    def runs(self) -> bool: ...
    def make_way(self) -> None: ...


def socket_path(store: Path) -> Path:
    """Where the node on this store listens: within the length limit of socket names, wherever the store is."""
    import tempfile  # lazily: only a node or a client needs it

    base = os.environ.get("XDG_RUNTIME_DIR") or f"{tempfile.gettempdir()}/onstage-{os.getuid()}"
    name = blake2b(str(store.resolve()).encode(), digest_size=10).hexdigest()
    return Path(base) / f"onstage-{name}.sock"


@final
class LocalDoor:
    """Listens for clients of a running node."""

    def __init__(self, store: Path, ways: _Ways) -> None:
        """For the node on this store."""
        self._path = socket_path(store)
        self._ways = ways
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. The writer's lock is held, so a socket that is already there belongs to a dead node."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path))
        finally:
            os.umask(mask)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "the server calls this in a task"
        self._clients.add(task)
        answers: set[asyncio.Task[None]] = set()
        try:
            while (body := await messages.receive(reader)) is not None:
                answer = asyncio.create_task(self._answer(messages.request_number(body), body, writer))
                answers.add(answer)
                answer.add_done_callback(answers.discard)
        except (ConnectionError, asyncio.CancelledError, DecodeFailed):
            log.debug("a client went away")
        finally:
            for answer in answers:
                answer.cancel()
            self._clients.discard(task)
            writer.close()

    async def _answer(self, at: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            answer = frame(Reply(at, await self._do(messages.request_in(body))))
        except Exception as error:  # noqa: BLE001  the client raises it again
            answer = frame(Reply(at, error=(type(error).__name__, said(error))))
        with contextlib.suppress(ConnectionError):
            writer.write(answer)
            await writer.drain()

    async def _do(self, request: Request) -> Any:
        match request:
            case Ping():
                return os.getpid(), self._ways.runs
            case MakeWay():
                return self._ways.make_way()
            case Emit(event=event):
                return await self._ways.emit(**msgspec.structs.asdict(event))
            case AskVerdict(process=process, timeout_s=timeout_s):
                verdict = await self._ways.verdict(process, timeout_s)
                return msgspec.to_builtins(verdict)
            case Operate(action=action, execution=execution):
                return await self._ways.operate(action, execution)
            case _:
                assert_never(request)

    async def close(self) -> None:
        """Listen no more and let clients go."""
        if self._server is None:
            return
        self._server.close()
        for client in set(self._clients):
            client.cancel()
        self._path.unlink(missing_ok=True)


@final
class RemoteDoor:
    """A client's side: requests over one connection, many at a time, repeated over a new one if it breaks."""

    def __init__(self, store: Path, pid: int = 0) -> None:
        """To the node on this store."""
        self._path = socket_path(store)
        self._token: Callable[[int], bytes] = SystemClock().token
        self.pid = pid
        self.runs = True
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._connecting = asyncio.Lock()

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
        """Emit through the node. The id is drawn before the first attempt, so a repetition is recognised."""
        if len(data) > EVENT_BYTES_MAX:
            raise errors.InvalidEvent(
                f"{type}: the payload has {len(data)} bytes\n  why: the limit is {EVENT_BYTES_MAX}\n"
                "  to do: store the large part elsewhere and send its address"
            )
        drawn = id or self._token(16).hex()
        request = Emit.of(type=type, data=data, id=drawn, source=source, process=process, extra=extra)
        answer: str = await self._request(request, str)
        return answer

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        """The node's verdict."""
        answer: Verdict = await self._request(AskVerdict(process=process, timeout_s=timeout_s), Verdict)
        return answer

    async def operate(self, action: str, execution: int) -> str:
        """An operator's action on a dead letter. It is not repeated if the connection breaks."""
        answer: str = await self._request(Operate(action=action, execution=execution), str, attempts=1)
        return answer

    async def _request(self, request: Request, type_: Any, *, attempts: int = ATTEMPTS_MAX) -> Any:
        for attempt in range(attempts):
            try:
                return messages.answer_as(type_, await self._once(request))
            except (ConnectionError, FileNotFoundError):
                if attempt + 1 == attempts:
                    break
                await asyncio.sleep(ATTEMPT_PAUSE_S)
        raise errors.StoreUnavailable(
            "the node does not answer\n  why: it stopped, and whether it took the last request is not known\n"
            "  to do: start it again, then send the same event with the same id"
        )

    async def _once(self, request: Request) -> Any:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
                self._listening = asyncio.create_task(self._listen(reader))
            writer = self._writer
        if writer.is_closing():
            raise ConnectionResetError("the node went away")
        self._next += 1
        sent = frame(msgspec.structs.replace(request, at=self._next))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = future
        writer.write(sent)
        with contextlib.suppress(ConnectionError):  # whoever listens is told too, and tells everybody that waits
            await writer.drain()
        return await future

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while (body := await messages.receive(reader)) is not None:
                reply = messages.reply_in(body)
                future = self._waiting.pop(reply.at, None)
                if future is None or future.done():
                    continue
                if reply.error is not None:
                    future.set_exception(_rebuilt(*reply.error))
                    continue
                future.set_result(reply.value)
        except (ConnectionError, DecodeFailed):
            log.debug("the node went away")
        finally:
            self._lost()

    def _lost(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the node went away"))

    async def ping(self) -> None:
        """Ask who is there: learn its process id, and whether it runs handlers or only holds the store."""
        self.pid, self.runs = messages.answer_as(tuple[int, bool], await self._once(Ping()))

    async def make_way(self) -> None:
        """Ask a client that holds the store to let a node in."""
        with contextlib.suppress(ConnectionError):
            await self._once(MakeWay())

    async def close(self) -> None:
        """Leave."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._lost()


async def call_when_running(store: Path) -> RemoteDoor | None:
    """A client of the node that runs on this store, or None if none answers."""
    remote = RemoteDoor(store)
    try:
        async with asyncio.timeout(2):
            await remote.ping()
    except (OSError, TimeoutError):
        await remote.close()
        return None
    return remote


_RAISED: Final[dict[str, Callable[[str], Exception]]] = {
    error.__name__: error
    for error in (
        errors.InvalidEvent,
        errors.DuplicateId,
        errors.AmbiguousProcess,
        errors.StoreUnavailable,
        errors.UsageError,
        LookupError,
    )
}


def _rebuilt(name: str, text: str) -> Exception:
    """The node's error, as the class the caller expects; anything else is a defect of the node."""
    return _RAISED.get(name, errors.OperationError)(text)
