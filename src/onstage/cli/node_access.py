"""A way to the node for what an operator does: through the running one, or as a client that holds the store."""

from __future__ import annotations

import getpass
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from onstage.cli.printing import note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from onstage.cli.options import Surroundings
    from onstage.runtime.remote_door import RemoteDoor
    from onstage.stage import Stage

__all__ = ["NodeAccess", "acting", "person"]


class NodeAccess(Protocol):
    """What can be asked of it; each answers what was done."""

    async def operate(self, action: str, execution: int) -> str:
        """Act on an execution."""
        ...

    async def schedule(self, action: str, name: str, first_ms: int | None, last_ms: int | None) -> str:
        """Act on a schedule."""
        ...

    async def manage(self, action: str, handler: str, options: Mapping[str, int]) -> dict[str, int | str]:
        """Replay or retire a handler."""
        ...

    async def set_pause(self, name: str, *, paused: bool, by: str, why: str | None = None) -> str:
        """Pause a handler or a service, or let it go on."""
        ...

    async def complete(self, token: str, data: bytes | None, error: str | None, kind: str | None) -> str:
        """Complete a step by its token with a result as JSON, or let its attempt fail."""
        ...


class _Signed:
    """A running node, told each time who acts."""

    def __init__(self, door: RemoteDoor) -> None:
        self._door = door
        self.set_pause = door.set_pause
        self.complete = door.complete

    async def operate(self, action: str, execution: int) -> str:
        return await self._door.operate(action, execution, by=person())

    async def schedule(self, action: str, name: str, first_ms: int | None, last_ms: int | None) -> str:
        return await self._door.schedule(action, name, first_ms, last_ms, by=person())

    async def manage(self, action: str, handler: str, options: Mapping[str, int]) -> dict[str, int | str]:
        return await self._door.manage(action, handler, options, by=person())


class _Held:
    """A store that no node runs on, held for a moment."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def operate(self, action: str, execution: int) -> str:
        return await self._stage.operate(action, execution, by=person())

    async def manage(self, action: str, handler: str, options: Mapping[str, int]) -> dict[str, int | str]:
        return await self._stage.manage(action, handler, options, by=person())

    async def schedule(self, action: str, name: str, first_ms: int | None, last_ms: int | None) -> str:
        return await self._stage.operate_schedule(action, name, first_ms=first_ms, last_ms=last_ms, by=person())

    async def set_pause(self, name: str, *, paused: bool, by: str, why: str | None = None) -> str:
        if paused:
            return await self._stage.pause(name, by=by, why=why)
        return await self._stage.resume(name, by=by)

    async def complete(self, token: str, data: bytes | None, error: str | None, kind: str | None) -> str:
        if error is not None:
            return await self._stage.fail(token, error)
        return await self._stage.complete(token, msgspec.Raw(data or b"null"))


@asynccontextmanager
async def acting(at: Surroundings, then: str | None = "it goes on with `onstage run`") -> AsyncIterator[NodeAccess]:
    """Through the running node, which needs no app here; without one the app is opened as a client.

    `then` is what a person is told about a store that no node runs on, once it was acted on; None says nothing.
    """
    from onstage.app import connect
    from onstage.runtime.remote_door import call_when_running

    remote = await call_when_running(at.path())
    if remote is not None:
        try:
            yield _Signed(remote)
        finally:
            await remote.close()
        return
    async with connect(at.store, at.app()) as client:
        yield _Held(client)
        if then is not None:
            note(f"no node runs on this store: {then}")


def person() -> str:
    """Who calls the command line, as the audit log names them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "an operator"
