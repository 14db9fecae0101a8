"""The application: plain data, checked when it is made. What runs it is put together in `assembly`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from onstage.contracts.expectation import Expectation, with_expectations
from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.contracts.validation import validate
from onstage.errors import UsageError, refusal
from onstage.runtime.undo_registry import durables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.ports.payload_codec import PayloadCodec
    from onstage.stage import Stage

__all__ = ["App", "connect"]

_MEND: Final = 'write "sqlite:///shop.db" (relative), "sqlite:////var/lib/shop.db" (absolute) or "memory:"'

OFFLOAD_ABOVE_MIN: Final = 1024


@final
class App:
    """Services and processes, checked together. Nothing runs before `run` is entered.

    Raises DefinitionError for names used twice, handlers of unknown types and the like, with file, line and mend.
    """

    __slots__ = ("codec", "manifest", "offload_above", "processes", "services")

    def __init__(
        self,
        *parts: Service | Process | Expectation,
        codec: PayloadCodec | None = None,
        offload_above: int | None = None,
    ) -> None:
        """Check the parts together. An `expect(...)` adds rules to the process that it names.

        With a `codec` payloads are stored and published encrypted. Payloads of more than `offload_above` bytes, at
        least 1024, are stored apart from their rows, each content once, and an event may have 16 MiB instead of 1 MiB.
        """
        self.codec = codec
        self.offload_above = offload_above
        if offload_above is not None and offload_above < OFFLOAD_ABOVE_MIN:
            raise UsageError(
                f"offload_above={offload_above}\n  why: below {OFFLOAD_ABOVE_MIN} bytes it costs more than it saves\n"
                "  to do: offload_above=64 * 1024, or leave it out"
            )
        given: tuple[object, ...] = parts
        for part in given:
            if not isinstance(part, Service | Process | Expectation):
                why = f"{part!r} is neither a Service nor a Process"
                raise refusal("App(...) takes services, processes and expectations", why, "remove it from App(...)", "")
        self.services = tuple(part for part in parts if isinstance(part, Service))
        declared = tuple(part for part in parts if isinstance(part, Process))
        self.processes = with_expectations(declared, [part for part in parts if isinstance(part, Expectation)])
        self.manifest = validate(self.services, self.processes)
        for durable in durables_of(handler.fn for service in self.services for handler in service.handlers):
            durable.check()

    def run(
        self,
        store: str = "memory:",
        *,
        broker: str | None = None,
        services: Sequence[str] | None = None,
        synchronous: str = "FULL",
        intake: Any = None,
        alert_webhook: str | None = None,
    ) -> Stage:
        """A stage on the store at this URL, not yet entered: "sqlite:///shop.db", or "memory:" for a try.

        With `broker="nats://localhost:4222"` it runs the `services` named, the others run elsewhere, each on a store of
        its own. `synchronous="NORMAL"` is faster and may lose the last commits at a power cut; the promises rest on
        FULL. `intake` is the database in which `emit_in` writes ("postgresql://...", "sqlite:///app.db", an engine of
        SQLAlchemy); the node takes in what is put there. `alert_webhook` is told when a process is stuck, overdue, a
        dead end or reopened; where services run apart, that is for their observer.

        Raises UsageError for a URL of another kind, or services that are not there.
        """
        from onstage.assembly import Apart, stage_on  # lazily: who only declares pays for no engine

        apart = None if broker is None else Apart(broker, self._named(services))
        if broker is None and services is not None:
            raise UsageError(
                "services=... needs a broker\n  why: the events of the others would reach nobody\n"
                '  to do: add broker="nats://localhost:4222", or run all services in one store'
            )
        if broker is not None and alert_webhook is not None:
            raise UsageError(
                "alert_webhook=... and a broker\n  why: a service apart sees its part of each process only\n"
                "  to do: give it to the observer: `onstage observe --alert-webhook ...`"
            )
        path = store_path(store)
        stage = stage_on(
            path,
            self.services,
            self.processes,
            synchronous=synchronous,
            client_only=False,
            apart=apart,
            codec=self.codec,
            offload_above=self.offload_above,
            alert_webhook=alert_webhook,
        )
        if intake is not None:
            from onstage.embedding.intake_table import IntakeTable

            stage.intake = IntakeTable(path, intake)
        return stage

    def _named(self, services: Sequence[str] | None) -> frozenset[str]:
        known = [service.name for service in self.services]
        wrong = sorted(set(services or ()) - set(known))
        if wrong:
            raise UsageError(
                f"there is no service {wrong[0]}\n  why: the app has {', '.join(known)}\n  to do: name one of them"
            )
        return frozenset(known if services is None else services)


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
    return stage_on(
        path,
        app.services,
        app.processes,
        synchronous="FULL",
        client_only=True,
        codec=app.codec,
        offload_above=app.offload_above,
    )


def store_path(url: str) -> Path | None:
    """The file of a store URL; None for `memory:`. Raises UsageError for another kind."""
    from urllib.parse import unquote, urlsplit  # lazily: importing onstage is to be quick

    if url in ("memory:", "memory://"):
        return None
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/"):
        raise UsageError(f"{url!r} is no store\n  why: this version knows sqlite:///PATH and memory:\n  to do: {_MEND}")
    return Path(unquote(parts.path[1:]))
