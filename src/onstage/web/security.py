"""Who may ask and who may act: the door in front of every page, fragment and call of the API.

Without a token the UI answers on the loopback address only, and only to who asks for it by such a name, so that no
page elsewhere can reach it by a name of its own. What changes anything is a POST that comes from these pages: the
cookie (SameSite=Strict) and a value made from it, in a header that no form elsewhere can send, and no foreign Origin.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "CSRF_HEADER", "HEADERS", "Guard", "Keys", "is_loopback"]

COOKIE: Final = "onstage_ui"
CSRF_HEADER: Final = "x-onstage-csrf"
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SAFE: Final = frozenset({"GET", "HEAD"})
_OPEN: Final = ("/login", "/static/")


def is_loopback(host: str) -> bool:
    """Whether this is an address that only this machine reaches."""
    return host in _HERE


@final
class Keys:
    """Makes and checks the values of cookies and of the CSRF header, from a secret and perhaps a token."""

    def __init__(self, secret: bytes, token: str | None = None) -> None:
        """With a `token` a browser has to have told it once; the API takes it as a bearer's."""
        self._secret = secret
        self._token = token

    @property
    def asks(self) -> bool:
        """Whether one has to tell a token."""
        return self._token is not None

    def knows(self, token: str) -> bool:
        """Whether this is the token."""
        return self._token is not None and hmac.compare_digest(token.encode(), self._token.encode())

    def cookie(self, drawn: str) -> str:
        """The cookie for a browser that may look, made from something drawn."""
        return f"{drawn}.{self._signed('cookie', drawn)}"

    def is_valid(self, cookie: str) -> bool:
        """Whether we gave this cookie."""
        drawn, _, signed = cookie.partition(".")
        return hmac.compare_digest(signed.encode(), self._signed("cookie", drawn).encode())

    def csrf(self, cookie: str) -> str:
        """What the CSRF header has to say beside this cookie."""
        return self._signed("csrf", cookie)

    def _signed(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}\0{text}".encode(), sha256).hexdigest()[:40]


@final
class Guard:
    """The middleware: refuses, or lets pass with `scope["state"]["csrf"]` for the pages, and adds its headers."""

    def __init__(self, app: ASGIApp, *, keys: Keys, drawn: Callable[[], str], any_host: bool = False) -> None:
        """`drawn()` draws text for a new cookie. With `any_host` whoever mounts us looks after names and users."""
        self._app, self._keys, self._any_host = app, keys, any_host
        self._drawn = drawn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cookie = _cookie_in(headers)
        known = cookie if cookie is not None and self._keys.is_valid(cookie) else None
        is_bearer = self._keys.knows(_bearer_in(headers))
        new = None
        if known is None and not self._keys.asks:
            new = known = self._keys.cookie(self._drawn())
        scope.setdefault("state", {})["csrf"] = "" if known is None else self._keys.csrf(known)
        refusal = self._refusal(scope, headers, known=None if new else known, is_bearer=is_bearer)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    told.setdefault(name, value)
                told.setdefault("cache-control", "no-store")
                if new is not None:
                    path = scope.get("root_path") or "/"
                    told.append("set-cookie", f"{COOKIE}={new}; Path={path}; HttpOnly; SameSite=Strict")
            await send(message)

        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers, *, known: str | None, is_bearer: bool) -> Response | None:
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        if not (self._any_host or self._keys.asks) and not is_loopback(_name(headers.get("host", ""))):
            return JSONResponse({"error": "this UI answers on localhost only"}, 421)
        if self._keys.asks and known is None and not is_bearer and not path.startswith(_OPEN):
            if path.startswith("/api/"):
                return JSONResponse({"error": "tell the token: Authorization: Bearer ..."}, 401)
            return RedirectResponse(f"{scope.get('root_path', '')}/login", 303)
        if scope["method"] in _SAFE or is_bearer:
            return None
        return None if _is_ours(headers, self._keys, known, path) else _foreign()


def _is_ours(headers: Headers, keys: Keys, known: str | None, path: str) -> bool:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return False
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    if path == "/login":
        return True
    said = headers.get(CSRF_HEADER, "")
    return known is not None and hmac.compare_digest(said.encode(), keys.csrf(known).encode())


def _foreign() -> Response:
    return JSONResponse({"error": "this request does not come from the pages of this UI: send its CSRF header"}, 403)


def _cookie_in(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _bearer_in(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else ""


def _name(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""
