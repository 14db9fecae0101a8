"""The door for other processes on the same machine: a socket beside the running node.

The socket lies in the user's runtime directory, named by a hash of the store's path, and only its owner may connect.
Frames and messages stand in `door_messages`, the client's side in `remote_door`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Protocol, assert_never, final

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
    EmitTimed,
    MakeWay,
    Manage,
    Operate,
    OperateSchedule,
    Ping,
    Pong,
    Reply,
    Request,
    SetPause,
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
    ) -> str: ...
    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]: ...
    async def verdict(self, process: str, timeout_s: float | None) -> Verdict: ...
    async def operate(self, action: str, execution: int) -> str: ...
    async def begin(self, start: Mapping[str, Any]) -> str: ...
    async def answer(self, event: str, timeout_s: float | None) -> bytes | None: ...
    async def control(self, action: str, event: str) -> str: ...
    async def schedule(self, action: str, name: str, first_ms: int | None, last_ms: int | None) -> str: ...
    async def manage(self, action: str, handler: str, options: Mapping[str, int]) -> dict[str, int | str]: ...
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
            case EmitTimed(event=event, when=when):
                return await self._ways.emit(**msgspec.structs.asdict(event), when=when)
            case EmitAll(events=events, go_on=go_on):
                answers = await self._ways.emit_all([msgspec.structs.asdict(event) for event in events], go_on=go_on)
                return [told(answer) if isinstance(answer, Exception) else answer for answer in answers]
            case AskVerdict(process=process, timeout_s=timeout_s):
                verdict = await self._ways.verdict(process, timeout_s)
                return msgspec.to_builtins(verdict)
            case Operate(action=action, execution=execution):
                return await self._ways.operate(action, execution)
            case Begin(start=start):
                return await self._ways.begin(msgspec.structs.asdict(start))
            case AwaitAnswer(event=asked, timeout_s=timeout_s):
                return await self._ways.answer(asked, timeout_s)
            case Control(action=action, event=asked):
                return await self._ways.control(action, asked)
            case OperateSchedule(action=action, name=name, first_ms=first_ms, last_ms=last_ms):
                return await self._ways.schedule(action, name, first_ms, last_ms)
            case Manage(action=action, handler=handler, options=options):
                return await self._ways.manage(action, handler, options)
            case SetPause(name=name, paused=paused, by=by, why=why):
                return await self._ways.set_pause(name, paused=paused, by=by, why=why)
            case Complete(token=token, data=data, error=error, kind=kind):
                return await self._ways.complete(token, data, error, kind)
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
