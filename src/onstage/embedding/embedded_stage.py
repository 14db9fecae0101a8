"""What a stage is to whatever it is embedded in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from onstage.events.envelope import Envelope
    from onstage.observe.verdict import Verdict
    from onstage.process_handle import ProcessHandle

__all__ = ["EmbeddedStage", "in_context_of_caller", "on_its_loop"]

T = TypeVar("T")


class EmbeddedStage(Protocol):
    """A stage, as far as the modules of this package use it."""

    loop: asyncio.AbstractEventLoop | None

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    @property
    def is_node(self) -> bool:
        """Whether it runs the services itself."""
        ...

    def not_ready(self) -> str | None:
        """Why it can take nothing at present; None if it can."""
        ...

    async def metrics_text(self) -> str:
        """Its metrics in the format of OpenMetrics."""
        ...

    async def emit(self, event: object, *, id: str | None = None) -> ProcessHandle:
        """Emit an event; it is durable when this returns."""
        ...

    async def emit_envelopes(
        self, envelopes: Sequence[Envelope], *, go_on: bool = False
    ) -> list[ProcessHandle | Exception]:
        """Emit CloudEvents."""
        ...

    async def process(self, key: str) -> ProcessHandle:
        """The process with this key or id."""
        ...

    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict:
        """The verdict on a process."""
        ...

    def reading(self) -> Any:
        """A reader of what is durable, as an async context manager."""
        ...


async def on_its_loop(stage: EmbeddedStage, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await `ask()` where the stage lives: on this loop, or on that of its own thread."""
    home = stage.loop
    if home is None or home is asyncio.get_running_loop():
        return await ask()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(in_context_of_caller(ask), home))


def in_context_of_caller(ask: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
    """A coroutine for another loop that does what `ask()` does, in the context of who calls this now: its trace."""
    context = copy_context()

    async def asking() -> T:
        return await asyncio.get_running_loop().create_task(ask(), context=context)

    return asking()
