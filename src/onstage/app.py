"""The application: plain data, and the composition root that puts adapters behind the ports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.contracts.validation import validate
from onstage.errors import UsageError, refusal
from onstage.ports.clock import SystemClock
from onstage.runtime.node import Node
from onstage.runtime.undo_registry import durables_of
from onstage.runtime.workers import ThreadWorkers
from onstage.stage import Stage
from onstage.stores.memory import MemoryStore
from onstage.stores.sqlite.connection import open_reader
from onstage.stores.sqlite.reader import SqliteReader
from onstage.stores.sqlite.store import LOCK_WAIT_S_MAX, SqliteStore

if TYPE_CHECKING:
    from onstage.ports.clock import Clock
    from onstage.ports.store import Store
    from onstage.ports.workers import Workers

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
        return self._stage(url, synchronous=synchronous, client_only=False)

    def _stage(self, url: str, *, synchronous: str, client_only: bool) -> Stage:
        path = store_path(url)

        def make_node(dispatch: bool, lock_wait_s: float = LOCK_WAIT_S_MAX) -> Node:  # noqa: FBT001  one flag
            clock, workers = SystemClock(), ThreadWorkers()
            store = _store(path, clock, workers, synchronous=synchronous, lock_wait_s=lock_wait_s)
            return Node(self.services, self.processes, store=store, clock=clock, workers=workers, dispatch=dispatch)

        if path is None:
            return Stage(make_node, path=None, client_only=client_only)
        return Stage(
            make_node,
            path=path,
            reader=lambda: SqliteReader(open_reader(path)),
            make_holder=lambda: make_node(False, 0.0),
            client_only=client_only,
        )


def connect(url: str, app: App) -> Stage:
    """A client of the store at `url`: it publishes and queries, and runs no handler.

    While a node runs on the store, requests go through it; while none does, what is emitted is stored and waits. It
    changes from the one to the other and back as nodes come and go.
    """
    if store_path(url) is None:
        raise UsageError(
            f"cannot connect to {url}\n  why: a memory store lives inside its own process\n  to do: {_MEND}"
        )
    return app._stage(url, synchronous="FULL", client_only=True)  # noqa: SLF001  the other half of App


def store_path(url: str) -> Path | None:
    """The file of a store URL; None for `memory:`. Raises UsageError for another kind."""
    from urllib.parse import unquote, urlsplit  # lazily: importing onstage is to be quick

    if url in ("memory:", "memory://"):
        return None
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/"):
        raise UsageError(f"{url!r} is no store\n  why: this version knows sqlite:///PATH and memory:\n  to do: {_MEND}")
    return Path(unquote(parts.path[1:]))


def _store(path: Path | None, clock: Clock, workers: Workers, *, synchronous: str, lock_wait_s: float) -> Store:
    if path is None:
        return MemoryStore(clock=clock, workers=workers)
    return SqliteStore(path, clock=clock, workers=workers, synchronous=synchronous, lock_wait_s=lock_wait_s)
