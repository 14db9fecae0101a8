"""The application: plain data, checked when it is made. What runs it is put together in `assembly`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.contracts.validation import validate
from onstage.errors import UsageError, refusal
from onstage.runtime.undo_registry import durables_of

if TYPE_CHECKING:
    from onstage.stage import Stage

__all__ = ["App", "connect"]

_MEND: Final = 'write "sqlite:///shop.db" (relative), "sqlite:////var/lib/shop.db" (absolute) or "memory:"'


@final
class App:
    """Services and processes, checked together. Nothing runs before `run` is entered.

    Raises DefinitionError for names used twice, handlers of unknown types and the like, with file, line and mend.
    """

    __slots__ = ("manifest", "processes", "services")

    def __init__(self, *parts: Service | Process) -> None:
        """Check the parts together."""
        given: tuple[object, ...] = parts
        for part in given:
            if not isinstance(part, Service | Process):
                why = f"{part!r} is neither a Service nor a Process"
                raise refusal("App(...) takes services and processes", why, "remove it from App(...)", "")
        self.services = tuple(part for part in parts if isinstance(part, Service))
        self.processes = tuple(part for part in parts if isinstance(part, Process))
        self.manifest = validate(self.services, self.processes)
        for durable in durables_of(handler.fn for service in self.services for handler in service.handlers):
            durable.check()

    def run(self, url: str = "memory:", *, synchronous: str = "FULL") -> Stage:
        """A stage on the store at `url`, not yet entered: "sqlite:///shop.db", or "memory:" for a try.

        `synchronous="NORMAL"` is faster and may lose the last commits at a power cut; the promises rest on FULL.
        Raises UsageError for a URL of another kind.
        """
        from onstage.assembly import stage_on  # lazily: who only declares pays for no engine

        return stage_on(store_path(url), self.services, self.processes, synchronous=synchronous, client_only=False)


def connect(url: str, app: App) -> Stage:
    """A client of the store at `url`: it publishes and queries, and runs no handler.

    While a node runs on the store, requests go through it; while none does, what is emitted is stored and waits. It
    changes from the one to the other and back as nodes come and go.
    """
    from onstage.assembly import stage_on

    path = store_path(url)
    if path is None:
        raise UsageError(
            f"cannot connect to {url}\n  why: a memory store lives inside its own process\n  to do: {_MEND}"
        )
    return stage_on(path, app.services, app.processes, synchronous="FULL", client_only=True)


def store_path(url: str) -> Path | None:
    """The file of a store URL; None for `memory:`. Raises UsageError for another kind."""
    from urllib.parse import unquote, urlsplit  # lazily: importing onstage is to be quick

    if url in ("memory:", "memory://"):
        return None
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/"):
        raise UsageError(f"{url!r} is no store\n  why: this version knows sqlite:///PATH and memory:\n  to do: {_MEND}")
    return Path(unquote(parts.path[1:]))
