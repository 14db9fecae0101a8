"""The application of the web UI: pages, fragments and the JSON API over one store, behind one guard."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware

from onstage.errors import UsageError
from onstage.web import json_api, pages, token_form
from onstage.web.actions import Actions
from onstage.web.answers import exception_handlers
from onstage.web.live import Live
from onstage.web.security import Guard, Keys
from onstage.web.source import Source
from onstage.web.ui import Ui

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Settings", "make_app", "mounted_ui"]


@final
class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the UI is served. `token` is asked of everybody; `mounted` leaves names and users to the application around.

    `read_only` shows everything and lets nobody act. `app` is the application as module:attribute, where it is known.
    """

    token: str | None = None
    mounted: bool = False
    read_only: bool = False
    app: str | None = None


def make_app(store: Path, settings: Settings | None = None) -> Starlette:
    """The UI over a store's file, to be served or mounted. It opens the file when it is first asked, for reading."""
    chosen = settings or Settings()
    source = Source(store, acts=not chosen.read_only, why_not="it was started read-only" if chosen.read_only else None)
    keys = Keys(source.clock.token(32), chosen.token)
    ui = Ui(source=source, keys=keys, actions=Actions(source), live=Live(source), app=chosen.app)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await ui.live.close()
            source.close()

    guard = Middleware(Guard, keys=keys, drawn=lambda: source.clock.token(16).hex(), any_host=chosen.mounted)
    return Starlette(
        routes=[*json_api.routes(ui), *token_form.routes(ui), *pages.routes(ui)],
        middleware=[guard],
        exception_handlers=exception_handlers(),
        lifespan=lifespan,
    )


def mounted_ui(store: str, *, read_only: bool = False) -> Starlette:
    """The UI over the store with this URL, to be mounted where the application around it checks who asks.

    `api.mount("/onstage", mounted_ui("sqlite:///shop.db"))`. Whoever gets through may look, and unless `read_only` act;
    the audit log names `request.user.display_name` where the application knows it. Raises UsageError for a store in
    memory, which has no file to look at.
    """
    from onstage.app import store_path

    path = store_path(store)
    if path is None:
        raise UsageError(
            f"{store} cannot be looked at\n  why: a memory store lives inside its own process\n"
            "  to do: give the stage a file, sqlite:///PATH, and this the same"
        )
    return make_app(path, Settings(mounted=True, read_only=read_only))
