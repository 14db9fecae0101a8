"""What a stage lets an operator do to a handler: replay it, or retire it once it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

__all__ = ["ManagesHandlers"]


class ManagesHandlers:
    """The part of `Stage` that acts on handlers, through whatever way to the store it has."""

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

        Processes that were stuck because of it go on or end. Raises UsageError while the app declares it.
        """
        told = await self.manage("retire", handler, {"dry_run": int(dry_run)})
        return int(told["obligations"])

    async def manage(self, action: str, handler: str, options: Mapping[str, int]) -> dict[str, int | str]:
        """What `replay` and `retire` ask the node, as the command line does."""
        told: dict[str, int | str] = await self._through(
            lambda ways: ways.manage(action, handler, options), repeat=False
        )
        return told
