"""What a stage lets an operator do: to handlers, services, schedules, and steps that end outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onstage.events.codec import encode_any
from onstage.runtime.completion import outcome_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

__all__ = ["Manageable"]


class Manageable:
    """The part of `Stage` that operators use, through whatever way to the store it has."""

    if TYPE_CHECKING:

        async def _through(self, request: Callable[[Any], Awaitable[Any]], *, repeat: bool = True) -> Any: ...

    async def replay(
        self, handler: str, *, after: int | None = None, since: datetime | None = None, dry_run: bool = False
    ) -> dict[str, int | str]:
        """Deliver events of before to a handler ("shop.bill") once more, outside of their processes.

        Those behind event number `after`, or since a time; answers how many `events` there are, and as which
        `handler` ("shop.bill@1") they are shown. Raises UsageError for a handler that does not run here.
        """
        options = {} if after is None else {"after": after}
        options |= {} if since is None else {"since_ms": round(since.timestamp() * 1000)}
        return await self.manage("replay", handler, options | {"dry_run": int(dry_run)})

    async def retire(self, handler: str, *, dry_run: bool = False) -> int:
        """Write off what a handler left open that is gone from the app; answers how many obligations.

        A service ("old") is retired with all its handlers. Processes that were stuck because of it go on or end, and
        whoever asked it gets an AskFailed of kind "written off". Raises UsageError while the app declares it.
        """
        told = await self.manage("retire", handler, {"dry_run": int(dry_run)})
        return int(told["obligations"])

    async def manage(
        self, action: str, handler: str, options: Mapping[str, int], *, by: str | None = None
    ) -> dict[str, int | str]:
        """What `replay` and `retire` ask the node, as the command line does; with `by` it goes into the audit log."""
        told: dict[str, int | str] = await self._through(
            lambda ways: ways.manage(action, handler, options, by=by), repeat=False
        )
        return told

    async def skip(self, execution: int, step: str, data: bytes | None = None, *, by: str | None = None) -> str:
        """Let a stuck step of an execution count as done with this result (JSON), or its undo; answers what was done.

        `step` is its name or its position. With `by` it goes into the audit log. Saying the same twice is well. Raises
        UsageError if no such step is stuck, and for a result that does not fit it.
        """
        told: str = await self._through(lambda ways: ways.skip(execution, step, data, by=by))
        return told

    async def operate_schedule(
        self,
        action: str,
        name: str,
        *,
        first_ms: int | None = None,
        last_ms: int | None = None,
        by: str | None = None,
    ) -> str:
        """Pause, resume or backfill (with the ends of a range, ms) a schedule by its full name; answers what was done.

        Raises UsageError.
        """
        told: str = await self._through(lambda ways: ways.schedule(action, name, first_ms, last_ms, by=by))
        return told

    async def pause(self, name: str, *, by: str = "the application", why: str | None = None) -> str:
        """Let a handler ("payment.charge") or a service ("payment") begin nothing, until `resume`; survives restarts.

        What runs goes on. Durable when this returns; answers what was done. Raises UsageError for an unknown name.
        """
        told: str = await self._through(lambda ways: ways.set_pause(name, paused=True, by=by, why=why), repeat=False)
        return told

    async def resume(self, name: str, *, by: str = "the application") -> str:
        """Let a paused handler or service go on. Raises UsageError if it is not paused."""
        told: str = await self._through(lambda ways: ways.set_pause(name, paused=False, by=by), repeat=False)
        return told

    async def complete(self, token: str, value: object = None) -> str:
        """Complete a step from outside with its result; durable at the return. See `onstage.durable.completion_token`.

        Saying the same twice is well. Raises UsageError for a token that no step here was given, for a step that has
        ended otherwise, and for a result that does not fit it; StoreUnavailable: then repeat it.
        """
        data = encode_any(value)
        told: str = await self._through(lambda ways: ways.complete(token, data, None, None))
        return told

    async def fail(self, token: str, error: str | BaseException) -> str:
        """Let an attempt of a step fail from outside: it is tried again as its `retry=` says.

        An exception whose class the step names in `give_up_on` reaches the handler as such. Raises as `complete` does.
        """
        text, kind = outcome_of(error)
        told: str = await self._through(lambda ways: ways.complete(token, None, text, kind))
        return told
