"""Asking and starting workflows from outside any execution: the part of a stage and of a client that does it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from onstage.core.commit import event_of
from onstage.core.identity import number_in
from onstage.core.journal import StateSet
from onstage.errors import UsageError
from onstage.events.answer import START_SOURCE, Request, asked_name, is_request, response_codec, why_no_request
from onstage.events.duration import seconds
from onstage.events.event import event_type, is_event
from onstage.runtime.asked_from_elsewhere import identity_of_request
from onstage.runtime.asking import response_in, workflow_of
from onstage.workflow_handle import WorkflowHandle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onstage.contracts.handler import Handler
    from onstage.events.codec import Codec
    from onstage.events.event import EventType
    from onstage.observe.verdict import Verdict
    from onstage.runtime.local_ways import LocalWays
    from onstage.runtime.remote_door import RemoteDoor

__all__ = ["AskingOutside"]

T = TypeVar("T")
R = TypeVar("R")
Duration = str | timedelta | float


class AskingOutside:
    """Requests and starts from outside; a stage is one."""

    async def _through(
        self, request: Callable[[LocalWays | RemoteDoor], Awaitable[T]], *, repeat: bool = True
    ) -> T:  # pragma: no cover  a stage has its own
        raise NotImplementedError

    def _own(self, id: str | None) -> str | None:  # pragma: no cover  likewise
        raise NotImplementedError

    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict:  # pragma: no cover  likewise
        """The verdict on a process."""
        raise NotImplementedError

    def reading(self) -> Any:  # pragma: no cover  likewise
        """Read the store."""
        raise NotImplementedError

    async def ask(self, request: Request[R], *, timeout: Duration | None = None, id: str | None = None) -> R:
        """Ask, and wait for the answer: the result of whoever declares `@service.answers` for this request.

        The request is a process of its own, durable before it is answered; the same `id` twice is the same request, and
        gets the same answer. It carries the time that is left.

        Raises TimeoutError when `timeout` (None: never) is over, AskFailed if the answer is a no, and as `emit` does.
        """
        if not (is_request(type(request)) and is_event(type(request))):
            raise UsageError(f"ask was given {request!r}\n{why_no_request(type(request))}")
        known, codec = event_type(type(request)), response_codec(type(request))
        timeout_s = None if timeout is None else seconds(timeout)
        event = await self._begin(known, request, id=id, source=None, key=None, timeout_s=timeout_s)
        result: R = await self.result_of(event, known.name, codec, timeout_s)
        return result

    async def start(
        self, workflow: Handler[T, R], input: T, /, *, id: str | None = None, timeout: Duration | None = None
    ) -> WorkflowHandle[R]:
        """Start a workflow; when this returns, the start is durable.

        The same `id` and input twice is the same execution, and its handle is returned again, also when it has ended.
        `timeout` is a deadline for all that it asks.

        Raises DuplicateId for an id that was used with another input, UsageError for what is no workflow, and as `emit`
        does.
        """
        known, codec = workflow_of(workflow)
        timeout_s = None if timeout is None else seconds(timeout)
        source = f"{START_SOURCE}/{workflow.full_name}"
        event = await self._begin(known, input, id=id, source=source, key=id, timeout_s=timeout_s)
        return WorkflowHandle(event, workflow.full_name, codec, self)

    def handle(self, workflow: Handler[Any, R], event: str) -> WorkflowHandle[R]:
        """The handle of a workflow that was started before, by its public id."""
        return WorkflowHandle(event, workflow.full_name, workflow_of(workflow)[1], self)

    async def _begin(
        self,
        known: EventType,
        value: object,
        *,
        id: str | None,
        source: str | None,
        key: str | None,
        timeout_s: float | None,
    ) -> str:
        data = known.encode_from_outside(value)
        return await self.begin(known.name, data, id=id, source=source, key=key, timeout_s=timeout_s)

    async def begin(
        self,
        type: str,
        data: bytes,
        *,
        id: str | None = None,
        source: str | None = None,
        key: str | None = None,
        timeout_s: float | None = None,
    ) -> str:
        """Begin a process with a request or a start, by the name of its type; answers its public id."""
        start = {
            "type": type, "data": data, "id": self._own(id), "source": source, "key": key, "timeout_s": timeout_s,
        }  # fmt: skip
        return await self._through(lambda ways: ways.begin(start))

    async def answer_to(self, event: str, timeout_s: float | None, type: str | None = None) -> bytes | None:
        """The payload of the answer to the request with this public id, None if there is none in time."""
        loop = asyncio.get_running_loop()
        give_up = None if timeout_s is None else loop.time() + timeout_s
        return await self._through(
            lambda ways: ways.answer(event, None if give_up is None else max(0.0, give_up - loop.time()), type)
        )

    async def result_of(self, event: str, type: str, codec: Codec[Any], timeout_s: float | None) -> Any:
        """The result that answers a request. Raises TimeoutError, AskFailed."""
        data = await self.answer_to(event, timeout_s, type)
        if data is None:
            raise TimeoutError(f"{asked_name(type)} was not answered within {timeout_s} s")
        return response_in(type, data, codec)

    async def control(
        self, action: str, event: str, type: str | None = None, *, by: str | None = None, note: str | None = None
    ) -> str:
        """Act on what answers the request of this type and public id, or on its process; answers what was done."""
        return await self._through(lambda ways: ways.control(action, event, type, by=by, note=note), repeat=False)

    async def forked(self, event: str, step: str, id: str | None) -> str:
        """Fork the workflow with this public id from a step; answers the public id of the fork."""
        own = self._own(id)
        return await self._through(lambda ways: ways.fork(event, step, own))

    async def state_of(self, event: str, handler: str) -> dict[str, Any]:
        """What the execution of this handler for this event shows of itself, as of its last durable commit."""
        async with self.reading() as reader:
            identity = identity_of_request(event)
            door = (await reader.doors((identity,))).get(identity)
            n = (number_in(event) or 0) if door is None else door[0]
            begun = await reader.event(n)
            views = await reader.executions(process=n if begun is None else begun.process, handler=handler)
            found = next((view.id for view in views if event_of(view.id) == n), None)
            stored = None if found is None else await reader.execution(found)
        if stored is None:
            raise LookupError(
                f"there is no execution of {handler} for {event} in this store\n"
                "  why: what an execution shows of itself is in the store of its service alone\n"
                f"  to do: ask at a node that runs {handler.partition('.')[0]}"
            )
        return {e.key: msgspec.json.decode(e.value) for e in stored.entries if isinstance(e, StateSet)}
