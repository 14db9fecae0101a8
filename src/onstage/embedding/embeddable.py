"""What a stage offers to programs that it is embedded in. Every stage imports it; what it needs is loaded at use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from onstage.embedding.asgi import StageApp
    from onstage.embedding.embedded import EmbeddedStage

__all__ = ["Embeddable"]

NOT_ENTERED: Final = (
    "the stage is not entered\n  why: the lifespan of a mounted application does not run by itself\n"
    "  to do: give it to the host: FastAPI(lifespan=stage.lifespan)"
)


class Embeddable:
    """The ways to embed a stage."""

    loop: asyncio.AbstractEventLoop | None = None
    """The loop that the stage lives on while it is entered."""

    is_measured: bool = False
    """Whether its node counts what it does, for `/metrics`. Set it before the stage is entered; `asgi` does."""

    @property
    def asgi(self) -> StageApp:
        """An ASGI application to mount: `api.mount("/stage", stage.asgi)`, with `FastAPI(lifespan=stage.lifespan)`.

        It answers GET /livez, /readyz, /metrics and /processes/KEY, and takes CloudEvents by POST /events. Who may ask
        is the host's to decide: it has no authentication of its own.
        """
        from onstage.embedding.asgi import StageApp

        self.is_measured = True
        return StageApp(cast("EmbeddedStage", self))
