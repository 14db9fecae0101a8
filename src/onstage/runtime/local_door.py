"""The door for other processes on the same machine: a socket beside the running node.

The socket lies in the user's runtime directory, named by a hash of the store's path, and only its owner may connect.
Frames and messages stand in `door_messages`, the client's side in `remote_door`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol, assert_never, final

import msgspec

from onstage.events.codec import DecodeFailed
from onstage.observe.verdict import Verdict
from onstage.runtime import door_messages as messages
from onstage.runtime.door_errors import told
from onstage.runtime.door_messages import (
    PROTOCOL,
    AskVerdict,
    AwaitAnswer,
    Begin,
    Complete,
    Control,
    Emit,
    EmitAll,
    EmitSigned,
    EmitTimed,
    Fork,
    MakeWay,
    Manage,
    Operate,
    OperateSchedule,
    Ping,
    Pong,
    Reply,
    Request,
    SetPause,
    Skip,
    frame,
)
from onstage.runtime.local_socket import FOLDER_MODE, refuse_foreign, socket_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from onstage.events.delayed import When

__all__ = ["LocalDoor"]

log = logging.getLogger("onstage.door")


class _Ways(Protocol):
    async def emit(
        self,
        type: str,
        data: bytes,
        *,
        id: str | None,
        source: str | None,
        process: str | None,
        extra: bytes | None,
        when: When | None = None,
        by: str | None = None,
    ) -> str: ...
    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]: ...
    async def verdict(self, process: str, timeout_s: float | None) -> Verdict: ...
    async def operate(self, action: str, execution: int, *, by: str | None = None) -> str: ...
    async def begin(self, start: Mapping[str, Any]) -> str: ...
    async def answer(self, event: str, timeout_s: float | None, type: str | None = None) -> bytes | None: ...
    async def control(
        self, action: str, event: str, type: str | None = None, *, by: str | None = None, note: str | None = None
    ) -> str: ...
    async def skip(self, execution: int, step: str, data: bytes | None, *, by: str | None = None) -> str: ...
    async def fork(self, event: str, step: str, id: str | None) -> str: ...
    async def schedule(
        self, action: str, name: str, first_ms: int | None, last_ms: int | None, *, by: str | None = None
    ) -> str: ...
    async def manage(
        self, action: str, handler: str, options: Mapping[str, int], *, by: str | None = None
    ) -> dict[str, int | str]: ...
    async def set_pause(self, name: str, *, paused: bool, by: str, why: str | None) -> str: ...
    async def complete(self, token: str, data: bytes | None, error: str | None, kind: str | None) -> str: ...
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
        self._socket: socket.socket | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._lines: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen. The writer's lock is held, so a socket that is already there belongs to a dead node.

        Raises StoreUnavailable if others could reach the folder.
        """
        with contextlib.suppress(FileExistsError):
            self._path.parent.mkdir(mode=FOLDER_MODE, parents=True)
        refuse_foreign(self._path.parent)
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # not inherited by programs that are started
        mask = os.umask(0o177)
        try:
            listening.bind(str(self._path))
        except BaseException:
            listening.close()
            raise
        finally:
            os.umask(mask)
        self._socket = listening
        _OPEN.add(self)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "the server calls this in a task"
        self._clients.add(task)
        self._lines.add(writer)
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
            self._lines.discard(writer)
            writer.close()

    async def _answer(self, at: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            answer = frame(Reply(at, await self._do(messages.request_in(body))))
        except Exception as error:  # noqa: BLE001  the client raises it again
            answer = frame(Reply(at, error=told(error)))
        with contextlib.suppress(ConnectionError):
            writer.write(answer)
            await writer.drain()

    async def _do(self, request: Request) -> Any:
        match request:
            case Ping():
                return Pong(os.getpid(), self._ways.runs, PROTOCOL)
            case MakeWay():
                return self._ways.make_way()
            case Emit(event=event):
                return await self._ways.emit(**msgspec.structs.asdict(event))
            case EmitSigned(event=event, by=by):
                return await self._ways.emit(**msgspec.structs.asdict(event), by=by)
            case EmitTimed(event=event, when=when):
                return await self._ways.emit(**msgspec.structs.asdict(event), when=when)
            case EmitAll(events=events, go_on=go_on):
                answers = await self._ways.emit_all([msgspec.structs.asdict(event) for event in events], go_on=go_on)
                return [told(answer) if isinstance(answer, Exception) else answer for answer in answers]
            case AskVerdict(process=process, timeout_s=timeout_s):
                verdict = await self._ways.verdict(process, timeout_s)
                return msgspec.to_builtins(verdict)
            case Operate(action=action, execution=execution, by=by):
                return await self._ways.operate(action, execution, by=by)
            case Begin(start=start):
                return await self._ways.begin(msgspec.structs.asdict(start))
            case AwaitAnswer(event=asked, timeout_s=timeout_s, type=of):
                return await self._ways.answer(asked, timeout_s, of)
            case Control(action=action, event=asked, type=of, by=by, note=note):
                return await self._ways.control(action, asked, of, by=by, note=note)
            case Skip(execution=execution, step=step, data=data, by=by):
                return await self._ways.skip(execution, step, data, by=by)
            case Fork(event=asked, step=step, id=id):
                return await self._ways.fork(asked, step, id)
            case OperateSchedule(action=action, name=name, first_ms=first_ms, last_ms=last_ms, by=by):
                return await self._ways.schedule(action, name, first_ms, last_ms, by=by)
            case Manage(action=action, handler=handler, options=options, by=by):
                return await self._ways.manage(action, handler, options, by=by)
            case SetPause(name=name, paused=paused, by=by, why=why):
                return await self._ways.set_pause(name, paused=paused, by=by, why=why)
            case Complete(token=token, data=data, error=error, kind=kind):
                return await self._ways.complete(token, data, error, kind)
            case _:
                assert_never(request)

    async def close(self) -> None:
        """Listen no more and let clients go."""
        _OPEN.discard(self)
        if self._server is None:
            if self._socket is not None:
                self._socket.close()
            return
        self._server.close()
        for client in set(self._clients):
            client.cancel()
        self._path.unlink(missing_ok=True)

    def let_go(self) -> None:
        """In a child of this OS process that was forked: be no end of these sockets. The parent goes on with them.

        Each descriptor is led to nowhere and keeps its number, so that whatever object closes it later closes that.
        """
        lines = [line.get_extra_info("socket") for line in self._lines if not line.is_closing()]
        numbers = [each.fileno() for each in (self._socket, *lines) if each is not None]
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in numbers:
            if number >= 0:
                os.dup2(nowhere, number, inheritable=False)
        os.close(nowhere)


_OPEN: Final[weakref.WeakSet[LocalDoor]] = weakref.WeakSet()


def _let_go_in_child() -> None:
    # A child outlives its node, perhaps for long: what it held open would take connections that nobody answers.
    for door in tuple(_OPEN):
        door.let_go()


os.register_at_fork(after_in_child=_let_go_in_child)
