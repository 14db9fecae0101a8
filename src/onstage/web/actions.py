"""What an operator does from the web UI: through the door of the running node, as the command line does."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.errors import StoreUnavailable, UsageError
from onstage.events.codec import encode_any
from onstage.runtime.remote_door import call_when_running
from onstage.web.shown_around import Done

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from onstage.runtime.remote_door import RemoteDoor
    from onstage.web.source import Source

__all__ = [
    "BULK_MAX",
    "EXECUTION_ACTIONS",
    "HANDLER_ACTIONS",
    "PROCESS_ACTIONS",
    "Actions",
    "Bulk",
    "Emission",
    "Noted",
    "Pausing",
    "Skipping",
]

BULK_MAX: Final = 500
"""One request acts on so many executions."""

EXECUTION_ACTIONS: Final = frozenset({"retry", "drop", "cancel", "terminate"})
PROCESS_ACTIONS: Final = frozenset({"undo", "cancel", "resolve"})
HANDLER_ACTIONS: Final = frozenset({"pause", "resume"})
_SOURCE: Final = "//onstage/web"


@final
class Bulk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which executions an action is for."""

    executions: tuple[int, ...]


@final
class Pausing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a handler or service is paused."""

    why: str | None = None


@final
class Skipping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which step counts as done: its name or position, and its result as JSON text or as a value; an undo has none."""

    step: str
    result: Any = None


@final
class Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is noted beside an action on a process: with "resolve", how its residue was mended."""

    note: str | None = None


@final
class Emission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test event: its type, its payload as JSON text or as a value, its id, and the process that it belongs to."""

    type: str
    data: Any
    id: str | None = None
    process: str | None = None


@final
class Actions:
    """What can be done to the store that a `Source` looks at. Raises UsageError for what is refused."""

    def __init__(self, source: Source) -> None:
        """Through whichever node runs on it when something is done."""
        self._source = source

    @asynccontextmanager
    async def _node(self) -> AsyncIterator[RemoteDoor]:
        why_not = await self._source.read(self._source.why_not)
        if why_not is not None:
            raise UsageError(f"nothing can be done from here\n  why: {why_not}\n  to do: see `onstage doctor`")
        door = await call_when_running(self._source.path)
        if door is None or not door.runs:
            if door is not None:
                await door.close()
            raise StoreUnavailable(
                "no node runs on this store\n  why: nobody answers at its door\n  to do: start it with `onstage run`"
            )
        try:
            yield door
        finally:
            await door.close()

    async def on_executions(self, by: str, action: str, executions: Iterable[int]) -> Done:
        """Retry, drop, cancel or terminate; answers for each what was done, or why not."""
        chosen = tuple(dict.fromkeys(executions))
        _check(action, EXECUTION_ACTIONS)
        if not chosen or len(chosen) > BULK_MAX:
            raise ValueError(f"an action is for 1 to {BULK_MAX} executions, not for {len(chosen)}")
        done: list[str] = []
        refused: list[str] = []
        async with self._node() as door:
            for number in chosen:
                try:
                    done.append(f"{number}: {await door.operate(action, number, by=by)}")
                except (LookupError, UsageError) as error:
                    refused.append(f"{number}: {error}")
        if refused and len(chosen) == 1:
            raise UsageError(refused[0])
        return Done(action=action, done=tuple(done), refused=tuple(refused))

    async def on_process(self, by: str, action: str, process: str, note: str | None = None) -> Done:
        """Undo, cancel or resolve a process as a whole."""
        _check(action, PROCESS_ACTIONS)
        async with self._node() as door:
            told = await door.control(action, process, by=by, note=note)
        return Done(action=action, done=(told,))

    async def skip(self, by: str, execution: int, wanted: Skipping) -> Done:
        """Let a stuck step of an execution count as done, or its undo."""
        data = wanted.result.encode() if isinstance(wanted.result, str) else encode_any(wanted.result)
        async with self._node() as door:
            told = await door.skip(execution, wanted.step, None if wanted.result is None else data, by=by)
        return Done(action="skip", done=(told,))

    async def on_handler(self, by: str, action: str, name: str, why: str | None = None) -> Done:
        """Pause a handler or service, or let it go on."""
        _check(action, HANDLER_ACTIONS)
        async with self._node() as door:
            told = await door.set_pause(name, paused=action == "pause", by=by, why=why)
        return Done(action=action, done=(told,))

    async def emit(self, by: str, wanted: Emission) -> Done:
        """Emit an event as one from outside; answers the public id of its process. Raises InvalidEvent."""
        data = wanted.data.encode() if isinstance(wanted.data, str) else encode_any(wanted.data)
        async with self._node() as door:
            process = await door.emit(
                wanted.type, data, id=wanted.id, source=_SOURCE, process=wanted.process or None, by=by
            )
        return Done(action="emit", done=(f"{wanted.type} was emitted",), process=process)


def _check(action: str, known: frozenset[str]) -> None:
    if action not in known:
        raise LookupError(f"there is no action {action}: it is none of {', '.join(sorted(known))}")
