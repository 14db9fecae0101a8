"""What a stage offers to programs that it is embedded in. Every stage imports it; what it needs is loaded at use."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from onstage.embedding.asgi import StageApp
    from onstage.embedding.background import Background
    from onstage.embedding.embedded_stage import EmbeddedStage
    from onstage.embedding.intake_table import IntakeTable
    from onstage.ports.telemetry import Family
    from onstage.runtime.node import Node
    from onstage.telemetry.meters import Meters

__all__ = ["Embeddable"]

NOT_ENTERED: Final = (
    "the stage is not entered\n  why: the lifespan of a mounted application does not run by itself\n"
    "  to do: give it to the host: FastAPI(lifespan=stage.lifespan)"
)


class Embeddable:
    """The ways to embed a stage."""

    _path: Path | None
    _node: Node | None
    _ways: object

    loop: asyncio.AbstractEventLoop | None = None
    """The loop that the stage lives on while it is entered."""

    _meters: Meters | None = None

    intake: IntakeTable | None = None
    """The intake table of this stage, once it is used."""

    is_measured: bool = False
    """Whether its node counts what it does, for `/metrics`. Set it before the stage is entered; `asgi` does."""

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=stage.lifespan)`: the stage runs as long as the web application does."""
        async with cast("EmbeddedStage", self):
            yield

    @property
    def asgi(self) -> StageApp:
        """An ASGI application to mount: `api.mount("/stage", stage.asgi)`, with `FastAPI(lifespan=stage.lifespan)`.

        It answers GET /livez, /readyz, /metrics and /processes/KEY, and takes CloudEvents by POST /events. Who may ask
        is the host's to decide: it has no authentication of its own.
        """
        from onstage.embedding.asgi import StageApp

        self.is_measured = True
        return StageApp(cast("EmbeddedStage", self))

    def emit_in(self, tx: Any, event: object, *, id: str | None = None) -> Any:
        """Emit an event in a transaction of your own database: it is durable when that one commits, or never was.

        `tx` is what your transaction runs on: a Session, Connection, AsyncSession or AsyncConnection of SQLAlchemy, the
        `connection` of Django, a connection or cursor of psycopg, on SQLite or PostgreSQL. It gets a row in the table
        `onstage_intake`, which the node that runs with `intake=` moves into the engine. With an asynchronous connection
        await it. The same `id` twice is the same event, whichever way it comes.

        It may be called on a stage that is not entered, from any thread. Raises InvalidEvent; UsageError for a
        connection in autocommit mode, an unknown kind, a missing table, or the node's own file: `@transaction` in a
        handler is the way there. An event that the engine then refuses stays in the table, with the reason.
        """
        if self.intake is None:
            from onstage.embedding.intake_table import IntakeTable

            self.intake = IntakeTable(self._path)
        return self.intake.write(tx, event, id)

    def run_in_background(self, *, lazy: bool = False) -> Background:
        """Run the stage in a thread of its own, with a loop of its own: for WSGI, Django and scripts.

        It answers an object whose `emit`, `process` and `verdict` may be called from any thread; it is stopped at exit.
        The stage is entered when this returns. With `lazy` it is at the first call, by whichever process makes that: so
        a server may fork after it has imported the application (`gunicorn --preload`). A child of a process in which it
        runs already is refused.

        Raises StoreUnavailable, SchemaTooNew or NodeRunning, as entering does.
        """
        from onstage.embedding.background import Background

        return Background(cast("EmbeddedStage", self), lazy=lazy)

    def not_ready(self) -> str | None:
        """Why this stage can take nothing at present, in three lines; None if it can."""
        if self._ways is None or self.loop is None:
            return NOT_ENTERED
        return None if self._node is None else self._node.store.trouble

    async def metrics_text(self) -> str:
        """The node's metrics as OpenMetrics text; of a client, that it is one."""
        from onstage.telemetry.openmetrics import text

        return text(await self._families())

    async def _families(self) -> list[Family]:
        from onstage.runtime.measurements import measured

        return await measured(self._node) + ([] if self.intake is None else self.intake.families())

    async def _begin_meters(self) -> None:
        """Give the metrics to OpenTelemetry, if the program has set a meter provider; the node runs already."""
        from onstage.telemetry.meters import Meters, meter_provider

        provider = meter_provider()
        if provider is None or self._node is None or self._node.telemetry is None:
            return
        self._meters = Meters(provider, await self._families(), self._families)
        self._node.telemetry.each_end(self._meters.ended)

    def _end_meters(self) -> None:
        if self._meters is not None:
            self._meters.close()
            self._meters = None
