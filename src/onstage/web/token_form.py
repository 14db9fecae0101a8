"""Telling the token once: a form, and the cookie for whoever told the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from onstage.web.answers import body_as
from onstage.web.security import COOKIE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from onstage.web.ui import Ui

__all__ = ["routes"]

_FORM: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Onstage: who is there?</title></head>
<body><main><h1>Who is there?</h1>{said}
<form method="post"><label>The token of this UI
<input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Come in</button></form></main></body></html>
"""


@final
class Told(msgspec.Struct, frozen=True):
    """What the form sends."""

    token: str = ""


def routes(ui: Ui) -> list[BaseRoute]:
    """`/login`, which passes the guard."""

    async def ask(_: Request) -> Response:
        return HTMLResponse(_FORM.format(said=""))

    async def take(request: Request) -> Response:
        told = await body_as(request, Told)
        if not ui.keys.knows(told.token):
            return HTMLResponse(_FORM.format(said="<p role=alert>That is not the token.</p>"), 403)
        path = request.scope.get("root_path") or "/"
        answer = RedirectResponse(request.scope.get("root_path", "") + "/", 303)
        cookie = ui.keys.cookie(ui.source.clock.token(16).hex())
        answer.set_cookie(COOKIE, cookie, path=path, httponly=True, samesite="strict")
        return answer

    return [Route("/login", ask), Route("/login", take, methods=["POST"])]
