"""A way to the node for what an operator does: through the running one, or as a client that holds the store."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from onstage.cli.printing import note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from onstage.cli.options import Surroundings
    from onstage.stage import Stage

__all__ = ["NodeAccess", "acting"]


class NodeAccess(Protocol):
    """What can be asked of it."""

    async def operate(self, action: str, execution: int) -> str:
        """Act on an execution; answers what was done."""
        ...

    async def schedule(self, action: str, name: str, first_ms: int | None, last_ms: int | None) -> str:
        """Act on a schedule; answers what was done."""
        ...


class _Held:
    """A store that no node runs on, held for a moment."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def operate(self, action: str, execution: int) -> str:
        return await self._stage.operate(action, execution)

    async def schedule(self, action: str, name: str, first_ms: int | None, last_ms: int | None) -> str:
        return await self._stage.operate_schedule(action, name, first_ms=first_ms, last_ms=last_ms)


@asynccontextmanager
async def acting(at: Surroundings) -> AsyncIterator[NodeAccess]:
    """Through the running node, which needs no app here; without one the app is opened as a client."""
    from onstage.app import connect
    from onstage.runtime.remote_door import call_when_running

    remote = await call_when_running(at.path())
    if remote is not None:
        try:
            yield remote
        finally:
            await remote.close()
        return
    async with connect(at.store, at.app()) as client:
        yield _Held(client)
        note("no node runs on this store: it goes on with `onstage run`")
