"""A workflow that was started, as whoever started it holds it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, final

from onstage.events.answer import START_PREFIX
from onstage.events.duration import seconds

if TYPE_CHECKING:
    from onstage.events.codec import Codec
    from onstage.observe.verdict import Verdict

__all__ = ["WorkflowHandle"]

R = TypeVar("R")
Duration = str | timedelta | float


class _Ways(Protocol):
    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict: ...
    async def result_of(self, event: str, type: str, codec: Codec[Any], timeout_s: float | None) -> Any: ...
    async def state_of(self, event: str, handler: str) -> dict[str, Any]: ...
    async def control(self, action: str, event: str, type: str | None = None) -> str: ...
    async def forked(self, event: str, step: str, id: str | None) -> str: ...


@final
class WorkflowHandle(Generic[R]):
    """One execution of a workflow: its public id, which is that of its process too, and what may be asked of it."""

    __slots__ = ("_codec", "_ways", "id", "workflow")

    def __init__(self, id: str, workflow: str, codec: Codec[Any], ways: _Ways) -> None:
        """Made by `start` only."""
        self.id = id
        self.workflow = workflow
        self._codec = codec
        self._ways = ways

    async def result(self, *, timeout: Duration | None = None) -> R:
        """Wait for the result, for at most `timeout` (None: for ever). It is durable, and can be asked for again.

        A dead letter is no end: it waits, and `verdict` says stuck. Raises TimeoutError, or AskFailed if the workflow
        rejected, was cancelled, or was dropped by an operator.
        """
        timeout_s = None if timeout is None else seconds(timeout)
        result: R = await self._ways.result_of(self.id, f"{START_PREFIX}{self.workflow}", self._codec, timeout_s)
        return result

    async def state(self) -> dict[str, Any]:
        """What the workflow shows of itself (`state["stage"] = "paid"`): the last durable value of each key."""
        return await self._ways.state_of(self.id, self.workflow)

    async def cancel(self) -> str:
        """Cancel it; when this returns, that is durable. Answers what was done.

        Its next durable call raises `Cancelled`, finished steps are undone, and its children are cancelled as well;
        what has not begun, or was set aside, ends without running. Raises UsageError if it has ended. If it runs on
        another store, the cancel is on its way when this returns, even if the start is too; then it is told there.
        """
        return await self._ways.control("cancel", self.id, f"{START_PREFIX}{self.workflow}")

    async def fork(self, step: str, *, id: str | None = None) -> WorkflowHandle[R]:
        """Run it again from a step on: a new execution takes over what was recorded before that call.

        `step` is the name of the call (`"ship"`) or its position (`"gather#0/1/ship#0"`, as `show` has it), or "end" to
        go on behind everything that has ended. The fork runs the present code, as a process of its own with the same
        input and key; what was taken over is not done again, the rest is done anew, with new idempotency keys. The
        original stays as it was, and must have ended or be set aside. The same `id`, step and original twice is one
        fork; without an id each call makes one. Durable when this returns.

        Raises UsageError for a call that is not in the journal, if the original may still go on, and if the part taken
        over cannot be relied on; DuplicateId for an id that was used otherwise.
        """
        return WorkflowHandle(await self._ways.forked(self.id, step, id), self.workflow, self._codec, self._ways)

    async def verdict(self, *, timeout: Duration | None = 0) -> Verdict:
        """Wait for a final verdict on its process for at most `timeout` (None: for ever), then answer the present one.

        Raises LookupError if there is no such process.
        """
        return await self._ways.verdict_on(self.id, None if timeout is None else seconds(timeout))

    def __repr__(self) -> str:
        """The workflow and the public id."""
        return f"Workflow[{self.workflow} {self.id}]"
