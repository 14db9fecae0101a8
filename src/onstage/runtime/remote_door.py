"""The client's side of the door: requests to the node that has the store, repeated if the connection breaks.

A client's event has its id before the first attempt, and the same one is sent again if the answer was lost; whoever has
the store by then recognises it. When nobody answers, the client's stage tries to take the store itself; where it does,
the door is closed and what was under way moves there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage import errors
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import check_size
from onstage.observe.verdict import Verdict
from onstage.ports.clock import SystemClock
from onstage.runtime import door_messages as messages
from onstage.runtime.door_errors import rebuilt
from onstage.runtime.door_messages import (
    OTHER_VERSION,
    Answers,
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
    Request,
    SetPause,
    Skip,
    frame,
)
from onstage.runtime.local_socket import refuse_foreign, socket_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from onstage.events.delayed import When

__all__ = ["Moved", "RemoteDoor", "call_when_running"]

ATTEMPTS_MAX: Final = 60
ATTEMPT_PAUSE_S: Final = 0.25
ATTEMPTS_BEFORE_TAKE_OVER: Final = 4
log = logging.getLogger("onstage.door")


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
        when: When | None = None,
        by: str | None = None,
    ) -> str:
        """Emit through the node. The id is drawn before the first attempt, so a repetition is recognised."""
        check_size(type, data)
        drawn = id or self._token(16).hex()
        event = {"type": type, "data": data, "id": drawn, "source": source, "process": process, "extra": extra}
        request: Request = Emit.of(**event)
        if when is not None:
            request = EmitTimed.of(when, **event)
        elif by is not None:
            request = EmitSigned.of(by, **event)
        answer: str = await self._request(lambda: request, str)
        return answer

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]:
        """Emit events that have their ids, in this order; see `LocalWays.emit_all`."""
        request = EmitAll.of(events, go_on=go_on)
        answers: Answers = await self._request(lambda: request, Answers)
        return [answer if isinstance(answer, str) else rebuilt(*answer) for answer in answers]

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        """The node's verdict."""
        left_s = _countdown(timeout_s)
        answer: Verdict = await self._request(lambda: AskVerdict(process=process, timeout_s=left_s()), Verdict)
        return answer

    async def begin(self, start: Mapping[str, Any]) -> str:
        """Begin a process with a request that has its id, through the node; see `LocalWays.begin`."""
        request = Begin.of(**start)
        answer: str = await self._request(lambda: request, str)
        return answer

    async def answer(self, event: str, timeout_s: float | None, type: str | None = None) -> bytes | None:
        """The payload of the answer to a request, or None if there is none in time."""
        left_s = _countdown(timeout_s)
        request = partial(AwaitAnswer, event=event, type=type)
        answer: bytes | None = await self._request(lambda: request(timeout_s=left_s()), bytes | None)
        return answer

    async def control(
        self, action: str, event: str, type: str | None = None, *, by: str | None = None, note: str | None = None
    ) -> str:
        """Act on an execution or a process, once: it is not repeated if the connection breaks."""
        request = Control(action=action, event=event, type=type, by=by, note=note)
        answer: str = await self._request(lambda: request, str, repeat=False)
        return answer

    async def fork(self, event: str, step: str, id: str | None) -> str:
        """Fork a workflow from a step, under an id: repeated if the connection breaks, which the node recognises."""
        request = Fork(event=event, step=step, id=id or self._token(16).hex())
        answer: str = await self._request(lambda: request, str)
        return answer

    async def operate(self, action: str, execution: int, *, by: str | None = None) -> str:
        """An operator's action on a dead letter. Once it was sent, it is not repeated if the connection breaks."""
        request = Operate(action=action, execution=execution, by=by)
        answer: str = await self._request(lambda: request, str, repeat=False)
        return answer

    async def skip(self, execution: int, step: str, data: bytes | None, *, by: str | None = None) -> str:
        """Have a stuck step count as done; repeated if the connection breaks, which the node recognises."""
        request = Skip(execution=execution, step=step, data=data, by=by)
        answer: str = await self._request(lambda: request, str)
        return answer

    async def manage(
        self, action: str, handler: str, options: Mapping[str, int], *, by: str | None = None
    ) -> dict[str, int | str]:
        """Replay or retire a handler. Once it was sent, it is not repeated if the connection breaks."""
        request = Manage(action=action, handler=handler, options=dict(options), by=by)
        answer: dict[str, int | str] = await self._request(lambda: request, dict[str, int | str], repeat=False)
        return answer

    async def schedule(
        self, action: str, name: str, first_ms: int | None, last_ms: int | None, *, by: str | None = None
    ) -> str:
        """An operator's action on a schedule; repeating it does no harm."""
        request = OperateSchedule(action=action, name=name, first_ms=first_ms, last_ms=last_ms, by=by)
        answer: str = await self._request(lambda: request, str)
        return answer

    async def set_pause(self, name: str, *, paused: bool, by: str, why: str | None = None) -> str:
        """Pause a handler or a service, or let it go on. Once it was sent, it is not repeated."""
        request = SetPause(name=name, paused=paused, by=by, why=why)
        answer: str = await self._request(lambda: request, str, repeat=False)
        return answer

    async def complete(self, token: str, data: bytes | None, error: str | None, kind: str | None) -> str:
        """Complete a step by its token; repeated if the connection breaks, which the node recognises."""
        request = Complete(token=token, data=data, error=error, kind=kind)
        answer: str = await self._request(lambda: request, str)
        return answer

    async def _request(self, request: Callable[[], Request], type_: Any, *, repeat: bool = True) -> Any:
        for attempt in range(ATTEMPTS_MAX):
            if self._closed:
                raise Moved
            try:
                return messages.answer_as(type_, await self._once(request()))
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

    async def _once(self, request: Request) -> Any:
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
        try:
            there: Pong = messages.answer_as(Pong, await self._ask(writer, Ping()))
        except errors.OperationError as error:
            self._lost()
            what = f"the node at {self._path} answers in an unknown way"
            raise errors.OperationError(f"{what}\n{OTHER_VERSION}") from error
        self.pid, self.runs = there.pid, there.runs

    async def _ask(self, writer: asyncio.StreamWriter, request: Request) -> Any:
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
                    future.set_exception(rebuilt(*reply.error))
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
            await self._once(MakeWay())

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


def _countdown(timeout_s: float | None) -> Callable[[], float | None]:
    loop = asyncio.get_running_loop()
    give_up = None if timeout_s is None else loop.time() + timeout_s
    return lambda: None if give_up is None else max(0.0, give_up - loop.time())
