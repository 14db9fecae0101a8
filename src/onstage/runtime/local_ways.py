"""The ways into a node for whoever is in its own OS process: the same as those of its door, without the socket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from onstage.core.commit import handler_of
from onstage.errors import StoreUnavailable, UsageError
from onstage.events.answer import asked_name
from onstage.events.delayed import LATER
from onstage.runtime.residue import resolve
from onstage.runtime.skipping import skip
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

_OF_PROCESSES: Final = ("cancel", "undo")


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
        by: str | None = None,
    ) -> str:
        """Check, admit and make durable; answers the public id of the process, or one that leads to it."""

        async def emitted() -> str:
            admitted = await self._admit(type, data, id=id, source=source, process=process, extra=extra, when=when)
            return await self._node.admission.process_id(admitted)

        return await self._node.audit.of(by, "emit", type, emitted)

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
        try:
            return await node.watch.verdict(number, timeout_s, node.live, known_open=node.admission.is_open(number))
        except LookupError:
            begun = await node.store.reader.event(number)
            if begun is None or begun.process == number:
                raise
            number = begun.process  # the run of a child, which somebody outside has started under the same id
        return await node.watch.verdict(number, timeout_s, node.live, known_open=node.admission.is_open(number))

    # Requests, and what answers them.

    async def begin(self, start: Mapping[str, Any]) -> str:
        """Admit a request, or a start, as the root of a process of its own; durable when this returns.

        It has type, data, id and source as in `emit`, a `key` if its class names none, and `timeout_s`, how long who
        asks will wait. Answers its public id, which is that of its process unless the same id was used for a child
        before; if what answers it runs on another store, a name that leads to it. Raises as `emit` does, and UsageError
        if nobody answers it.
        """
        admission, timeout_s = self._node.admission, start["timeout_s"]
        route, data, key = admission.check(start["type"], start["data"])
        expires = None if timeout_s is None else self._node.clock.now_ms() + round(timeout_s * 1000)
        service = self._service(route.type.name)
        if service is not None and self._node.exchange is not None:
            begin = self._node.exchange.asking.begin
            return await begin(service, route, data, key or start["key"], start, expires)
        self._answerer(route)
        admitted = await admission.admit(
            route,
            data,
            key or start["key"],
            id=start["id"],
            source=start["source"],
            process=0,
            until=expires,
        )
        return self._node.numbers.identity.wire(await admission.begun(admitted))

    @staticmethod
    def _answerer(route: Route) -> Reaction:
        for reaction in route.triggers:
            if reaction.responding is not None:
                return reaction
        raise UsageError(
            f"nobody answers {asked_name(route.type.name)}\n"
            "  why: no handler of this app has @service.answers for it, nor is it a workflow of one\n"
            "  to do: declare who answers"
        )

    def _service(self, type: str | None) -> str | None:
        """The service that answers requests of this type on another store."""
        exchange = self._node.exchange
        return None if exchange is None else exchange.asking.service(type)

    async def _request(self, event: str) -> int:
        found = None if self._node.exchange is None else await self._node.exchange.asked.find(event)
        return self.number(event) if found is None else found

    async def answer(self, event: str, timeout_s: float | None, type: str | None = None) -> bytes | None:
        """The payload of the answer to the request with this public id or name, None if there is none in time.

        `type` is that of the request: by it the store is found that answers it, if it is another one. Raises
        LookupError for a request that is not here, where nobody knows whose it is.
        """
        service, exchange = self._service(type), self._node.exchange
        if service is not None and exchange is not None and self._node.numbers.identity.local(event) is None:
            return await exchange.asking.answer(service, event, timeout_s)
        found = await self._node.mailbox.replies.answer(await self._request(event), timeout_s)
        return None if found is None else found.data

    async def control(
        self, action: str, event: str, type: str | None = None, *, by: str | None = None, note: str | None = None
    ) -> str:
        """Cancel the execution that answers this request; answers what was done, which is durable.

        `type` is that of the request: where it is answered on another store, the cancel is sent there. With "resolve"
        the residue of a process counts as mended, as the `note` says. Raises UsageError if it has ended, or there is no
        such action; LookupError for a request that is not here.
        """
        if action == "resolve":
            resolved = partial(resolve, self._node, self.number(event), note=note, by=by)
            return await self._node.audit.of(by, action, event, resolved)
        return await self._node.audit.of(by, action, event, lambda: self._control(action, event, type))

    async def skip(self, execution: int, step: str, data: bytes | None, *, by: str | None = None) -> str:
        """Have a stuck step of an execution count as done with this result (JSON); answers what was done.

        With `by` it is written down under that name. Raises as `onstage.runtime.skipping.skip` does.
        """
        target = f"step {step} of execution {execution}"
        return await self._node.audit.of(by, "skip", target, lambda: skip(self._node, execution, step, data))

    async def _control(self, action: str, event: str, type: str | None) -> str:
        from onstage.runtime.cancelling import control

        service = self._service(type)
        if service is not None and self._node.exchange is not None:
            return await self._node.exchange.asking.control(service, action, event)
        apart = self._node.waves.apart
        try:
            return await control(self._node, action, await self._request(event))
        except LookupError:
            if apart is None or action not in _OF_PROCESSES:
                raise
            return await apart.control(action, event)

    async def fork(self, event: str, step: str, id: str | None) -> str:
        """Fork a workflow from a step; answers the public id of the fork, which is durable. See `forking.fork`."""
        from onstage.runtime.forking import fork

        return await fork(self._node, self.number(event), step, id)

    async def schedule(
        self, action: str, name: str, first_ms: int | None, last_ms: int | None, *, by: str | None = None
    ) -> str:
        """Pause, resume or backfill a schedule; answers what was done."""
        operate = self._node.scheduler.operate
        done = f"{action} schedule"
        return await self._node.audit.of(
            by, done, name, lambda: operate(action, name, first_ms=first_ms, last_ms=last_ms)
        )

    async def manage(
        self, action: str, handler: str, options: Mapping[str, int], *, by: str | None = None
    ) -> dict[str, int | str]:
        """Replay or retire a handler; answers what was done, in figures. A dry run is not written down."""
        from onstage.runtime.subscriptions import manage

        who = None if options.get("dry_run") else by
        return await self._node.audit.of(who, action, handler, lambda: manage(self._node, action, handler, options))

    async def set_pause(self, name: str, *, paused: bool, by: str, why: str | None = None) -> str:
        """Pause a handler or a service, or let it go on; answers what was done."""
        pauses = self._node.flow.pauses
        if paused:
            return await self._node.audit.of(by, "pause", name, lambda: pauses.pause(name, by=by, why=why))
        return await self._node.audit.of(by, "resume", name, lambda: pauses.resume(name))

    async def operate(self, action: str, execution: int, *, by: str | None = None) -> str:
        """Retry or drop a dead letter, cancel or terminate an execution; answers what was done.

        With `by` it is written down under that name.
        """
        return await self._node.audit.of(by, action, f"execution {execution}", lambda: self._operate(action, execution))

    async def _operate(self, action: str, execution: int) -> str:
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
