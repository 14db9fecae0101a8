"""The door for other processes on the same machine: a socket beside the running node.

The socket lies in the user's runtime directory, named by a hash of the store's path, and only its owner may connect.
Frames are a 4-byte length and a MessagePack map. A client's event has its id before the first attempt, and the same one
is sent again if the answer was lost; whoever has the store by then recognises it. When nobody answers, the client's
stage tries to take the store itself; where it does, the door is closed and what was under way moves there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final, Protocol, final

import msgspec

from onstage import errors
from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.observe.verdict import Verdict
from onstage.ports.clock import SystemClock
from onstage.runtime.local_socket import FOLDER_MODE, refuse_foreign, socket_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["FRAME_BYTES_MAX", "LocalDoor", "Moved", "RemoteDoor", "call_when_running"]

FRAME_BYTES_MAX: Final = 4 << 20
ATTEMPTS_MAX: Final = 60
ATTEMPT_PAUSE_S: Final = 0.25
ATTEMPTS_BEFORE_TAKE_OVER: Final = 4
PROTOCOL: Final = 1
log = logging.getLogger("onstage.door")

_OTHER_VERSION: Final = (
    "  why: client and node are of different versions of Onstage\n"
    "  to do: run both from the same version; restart whichever is older"
)
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder().decode


class _Ways(Protocol):
    async def emit(
        self, type: str, data: bytes, *, id: str | None, source: str | None, process: str | None, extra: bytes | None
    ) -> str: ...
    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]: ...
    async def verdict(self, process: str, timeout_s: float | None) -> Verdict: ...
    async def operate(self, action: str, execution: int) -> str: ...
    @property
    def runs(self) -> bool: ...
    def make_way(self) -> None: ...


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
        """Listen. The writer's lock is held, so a socket that is already there belongs to a dead node.

        Raises StoreUnavailable if others could reach the folder.
        """
        with contextlib.suppress(FileExistsError):
            self._path.parent.mkdir(mode=FOLDER_MODE, parents=True)
        refuse_foreign(self._path.parent)
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
            while (request := await _receive(reader)) is not None:
                answer = asyncio.create_task(self._answer(request, writer))
                answers.add(answer)
                answer.add_done_callback(answers.discard)
        except (ConnectionError, asyncio.CancelledError, ValueError):
            log.debug("a client went away")
        finally:
            for answer in answers:
                answer.cancel()
            self._clients.discard(task)
            writer.close()

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        reply: dict[str, Any] = {"at": request.get("at")}
        try:
            reply["value"] = await self._do(request)
        except Exception as error:  # noqa: BLE001  the client raises it again
            reply["error"] = _told(error)
        with contextlib.suppress(ConnectionError):
            writer.write(_frame(reply))
            await writer.drain()

    async def _do(self, request: dict[str, Any]) -> Any:
        match request:
            case {"do": "ping"}:
                return os.getpid(), self._ways.runs, PROTOCOL
            case {"do": "make way"}:
                return self._ways.make_way()
            case {"do": "emit", "with": options}:
                return await self._ways.emit(**options)
            case {"do": "emit all", "with": events, "go_on": go_on}:
                answers = await self._ways.emit_all(events, go_on=go_on)
                return [_told(answer) if isinstance(answer, Exception) else answer for answer in answers]
            case {"do": "verdict", "process": process, "timeout_s": timeout_s}:
                verdict = await self._ways.verdict(process, timeout_s)
                return msgspec.to_builtins(verdict)
            case {"do": "operate", "action": action, "execution": execution}:
                return await self._ways.operate(action, execution)
            case _:
                raise errors.OperationError(
                    f"the node does not know the request {str(request.get('do'))[:40]!r}\n{_OTHER_VERSION}"
                )

    async def close(self) -> None:
        """Listen no more and let clients go."""
        if self._server is None:
            return
        self._server.close()
        for client in set(self._clients):
            client.cancel()
        self._path.unlink(missing_ok=True)


@final
class Moved(Exception):
    """This door was closed, and whatever was under way may be asked again at the stage's new way to the store."""


@final
class RemoteDoor:
    """A client's side: requests over one connection, many at a time, repeated over a new one if it breaks."""

    def __init__(self, store: Path, take_over: Callable[[RemoteDoor], Awaitable[None]] | None = None) -> None:
        """To the node on this store. While nobody answers, `take_over` is asked again and again to take its place."""
        self._path = socket_path(store)
        self._token: Callable[[int], bytes] = SystemClock().token
        self.take_over = take_over
        self.pid = 0
        self.runs = True
        self._closed = False
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
        request = {"type": type, "data": data, "id": drawn, "source": source, "process": process, "extra": extra}
        answer: str = await self._request(lambda: {"do": "emit", "with": request})
        return answer

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]:
        """Emit events that have their ids, in this order; see `LocalWays.emit_all`."""
        request = {"do": "emit all", "with": events, "go_on": go_on}
        answers: list[str | tuple[str, str]] = await self._request(lambda: request)
        return [answer if isinstance(answer, str) else _rebuilt(*answer) for answer in answers]

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        """The node's verdict."""
        loop = asyncio.get_running_loop()
        give_up = None if timeout_s is None else loop.time() + timeout_s

        def request() -> dict[str, Any]:
            left_s = None if give_up is None else max(0.0, give_up - loop.time())
            return {"do": "verdict", "process": process, "timeout_s": left_s}

        return msgspec.convert(await self._request(request), Verdict)

    async def operate(self, action: str, execution: int) -> str:
        """An operator's action on a dead letter. Once it was sent, it is not repeated if the connection breaks."""
        request = {"do": "operate", "action": action, "execution": execution}
        answer: str = await self._request(lambda: request, repeat=False)
        return answer

    async def _request(self, request: Callable[[], dict[str, Any]], *, repeat: bool = True) -> Any:
        for attempt in range(ATTEMPTS_MAX):
            if self._closed:
                raise Moved
            try:
                return await self._once(request())
            except (ConnectionRefusedError, FileNotFoundError):
                log.debug("nobody listens; nothing was sent")
            except ConnectionError:
                if not repeat:
                    break
            if self.take_over is not None and attempt + 1 >= ATTEMPTS_BEFORE_TAKE_OVER:
                await self.take_over(self)
            if not self._closed:
                await asyncio.sleep(ATTEMPT_PAUSE_S)
        raise errors.StoreUnavailable(
            "the node does not answer\n  why: it stopped, and whether it took the last request is not known\n"
            "  to do: start it again, then send the same event with the same id"
        )

    async def _once(self, request: dict[str, Any]) -> Any:
        async with self._connecting:
            writer = self._writer or await self._connect()
        return await self._ask(writer, request)

    async def _connect(self) -> asyncio.StreamWriter:
        refuse_foreign(self._path.parent)
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        if self._closed:  # meanwhile; whoever answers there by now may be this very stage
            writer.close()
            raise Moved
        self._writer = writer
        self._listening = asyncio.create_task(self._listen(reader))
        await self._greet(writer)
        return writer

    async def _greet(self, writer: asyncio.StreamWriter) -> None:
        answer = await self._ask(writer, {"do": "ping"})
        match answer:
            case [int(pid), bool(runs), version] if version == PROTOCOL:
                self.pid, self.runs = pid, runs
            case _:
                self._lost()
                raise errors.OperationError(f"the node at {self._path} answers in an unknown way\n{_OTHER_VERSION}")

    async def _ask(self, writer: asyncio.StreamWriter, request: dict[str, Any]) -> Any:
        if writer.is_closing():
            raise ConnectionResetError("the node went away")
        self._next += 1
        frame = _frame({**request, "at": self._next})
        if len(frame) > FRAME_BYTES_MAX:
            raise errors.UsageError(
                f"a request of {len(frame)} bytes is too large\n  why: the node takes {FRAME_BYTES_MAX} at a time\n"
                "  to do: send fewer events at a time, with smaller attributes"
            )
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = future
        writer.write(frame)
        with contextlib.suppress(ConnectionError):  # whoever listens is told too, and tells everybody that waits
            await writer.drain()
        return await future

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while (reply := await _receive(reader)) is not None:
                future = self._waiting.pop(reply["at"], None)
                if future is None or future.done():
                    continue
                if "error" in reply:
                    future.set_exception(_rebuilt(*reply["error"]))
                    continue
                future.set_result(reply["value"])
        except (ConnectionError, ValueError):
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
        """Ask who is there: learn its process id, and whether it runs handlers or only holds the store.

        Raises OperationError if it speaks another version.
        """
        async with self._connecting:
            if self._writer is None:
                await self._connect()
            else:
                await self._greet(self._writer)

    async def make_way(self) -> None:
        """Ask a client that holds the store to let a node in."""
        with contextlib.suppress(ConnectionError):
            await self._once({"do": "make way"})

    async def close(self) -> None:
        """Leave; what is under way raises Moved."""
        self._closed = True
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._lost()


async def call_when_running(store: Path) -> RemoteDoor | None:
    """A client of the node that runs on this store, or None if none answers.

    Raises OperationError if it speaks another version, StoreUnavailable if others could reach the socket's folder.
    """
    remote = RemoteDoor(store)
    try:
        async with asyncio.timeout(2):
            await remote.ping()
    except (OSError, TimeoutError):
        await remote.close()
        return None
    except BaseException:
        await remote.close()
        raise
    return remote


def _frame(value: dict[str, Any]) -> bytes:
    body = _ENCODE(value)
    return len(body).to_bytes(4, "big") + body


async def _receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {size} bytes")
        answer: dict[str, Any] = _DECODE(await reader.readexactly(size))
    except asyncio.IncompleteReadError:
        return None
    return answer


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


def _told(error: Exception) -> tuple[str, str]:
    return type(error).__name__, str(error)


def _rebuilt(name: str, text: str) -> Exception:
    """The node's error, as the class the caller expects; anything else is a defect of the node."""
    return _RAISED.get(name, errors.OperationError)(text)
