"""The ways into a node for whoever is in its own OS process: the same as those of its door, without the socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from onstage.core.commit import handler_of
from onstage.errors import StoreUnavailable, UsageError
from onstage.events.delayed import LATER
from onstage.runtime.wire import check_outside, of_present_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onstage.events.delayed import When
    from onstage.observe.verdict import Verdict
    from onstage.runtime.admission import Admitted
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.emission import Route
    from onstage.runtime.node import Node

__all__ = ["LocalWays"]


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
        when: When | None = None,
    ) -> str:
        """Check, admit and make durable; answers the public id of the process, or one that leads to it."""
        admission = self._node.admission
        admitted = await self._admit(type, data, id=id, source=source, process=process, extra=extra, when=when)
        return await admission.process_id(admitted)

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]:
        """Emit events (the arguments of `emit`) in this order, and wait for the disk once.

        Answers for each the public id of its process, or the UsageError or LookupError that refused it. Unless
        `go_on`, the first refusal is the last answer, and nothing behind it is admitted. A StoreUnavailable is always
        the last answer; it is raised if it is the only one.
        """
        decided: list[Admitted | Exception] = []
        for event in events:
            try:
                decided.append(await self._admit(**event))
            except StoreUnavailable as error:
                if not decided:
                    raise
                decided.append(error)
                break
            except (LookupError, UsageError) as error:
                decided.append(error)
                if not go_on:
                    break
        process_id = self._node.admission.process_id
        return [each if isinstance(each, Exception) else await process_id(each) for each in decided]

    async def _admit(
        self,
        type: str,
        data: bytes,
        *,
        id: str | None,
        source: str | None,
        process: str | None,
        extra: bytes | None,
        when: When | None = None,
    ) -> Admitted:
        admission = self._node.admission
        version = None
        if extra is not None:
            check_outside(extra)
            extra, version = of_present_version(extra)
        route, stored, key = admission.check(type, data, version)
        joined = None if process is None else await self._present(process)
        return await admission.admit(route, stored, key, id=id, source=source, process=joined, extra=extra, when=when)

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
        if node.exchange is not None and node.dispatches:
            return await node.exchange.verdict(process, timeout_s)
        number = self.number(process)
        return await node.watch.verdict(number, timeout_s, node.live, known_open=node.admission.is_open(number))

    # Requests, and what answers them.

    async def begin(self, start: Mapping[str, Any]) -> str:
        """Admit a request, or a start, as the root of a process of its own; durable when this returns.

        It has type, data, id and source as in `emit`, a `key` if its class names none, and `timeout_s`, how long who
        asks will wait. Answers its public id, which is that of its process. Raises as `emit` does, and UsageError if
        what answers it runs on another store.
        """
        admission, timeout_s = self._node.admission, start["timeout_s"]
        route, data, key = admission.check(start["type"], start["data"])
        self._answerer(route)
        expires = None if timeout_s is None else self._node.clock.now_ms() + round(timeout_s * 1000)
        admitted = await admission.admit(
            route,
            data,
            key or start["key"],
            id=start["id"],
            source=start["source"],
            process=0,
            until=expires,
        )
        return await admission.process_id(admitted)

    @staticmethod
    def _answerer(route: Route) -> Reaction:
        for reaction in route.triggers:
            if reaction.responding is not None:
                return reaction
        raise UsageError(
            f"nobody answers {route.type.name} here\n"
            "  why: no handler that runs on this store has @service.answers for it, nor is it a workflow of one\n"
            "  to do: ask at a node that runs the service, or declare who answers"
        )

    async def answer(self, event: str, timeout_s: float | None) -> bytes | None:
        """The payload of the answer to the request with this public id, None if there is none in time.

        Raises LookupError for a request of another store.
        """
        found = await self._node.mailbox.replies.answer(self.number(event), timeout_s)
        return None if found is None else found.data

    async def control(self, action: str, event: str) -> str:
        """Cancel the execution that answers this request; answers what was done, which is durable.

        Raises UsageError if it has ended, or there is no such action; LookupError for a request that is not here.
        """
        from onstage.runtime.cancelling import control

        return await control(self._node, action, self.number(event))

    async def schedule(self, action: str, name: str, first_ms: int | None, last_ms: int | None) -> str:
        """Pause, resume or backfill a schedule; answers what was done."""
        return await self._node.scheduler.operate(action, name, first_ms=first_ms, last_ms=last_ms)

    async def manage(self, action: str, handler: str, options: Mapping[str, int]) -> dict[str, int | str]:
        """Replay or retire a handler; answers what was done, in figures."""
        from onstage.runtime.subscriptions import manage

        return await manage(self._node, action, handler, options)

    async def set_pause(self, name: str, *, paused: bool, by: str, why: str | None = None) -> str:
        """Pause a handler or a service, or let it go on; answers what was done."""
        pauses = self._node.flow.pauses
        return await (pauses.pause(name, by=by, why=why) if paused else pauses.resume(name))

    async def operate(self, action: str, execution: int) -> str:
        """Retry or drop a dead letter, cancel or terminate an execution; answers what was done."""
        from onstage.runtime.cancelling import ACTIONS, act
        from onstage.runtime.operations import operate

        reaction = self._node.reactions.get(handler_of(execution))
        if (
            action in ACTIONS and reaction is not None and reaction.name != LATER
        ):  # what keeps a delayed event is called off
            return await act(self._node, action, execution)
        return await operate(self._node, action, execution)

    async def complete(self, token: str, data: bytes | None, error: str | None, kind: str | None) -> str:
        """Complete a step by its token with a result, or let its attempt fail; answers what was done."""
        return await self._node.completions.complete(token, data, error, kind)
