"""The ASGI application of a stage: health, metrics, a way in for events, and a look at a process.

Plain ASGI, so that it needs no framework and runs in any: five paths, no state, no templates. It has no users of its
own: mounted in an application it has that one's authentication and addresses, and it is refused as an application of
its own, which would answer whoever reaches its port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import msgspec

from onstage.embedding.embedded_stage import on_its_loop
from onstage.embedding.http_events import REQUEST_BYTES_MAX, from_request
from onstage.errors import AmbiguousProcess, DuplicateId, InvalidEvent, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from onstage.embedding.embedded_stage import EmbeddedStage

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = ["OPENMETRICS", "Answer", "StageApp", "answer_to_get"]

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_PROCESSES: Final = "/processes/"
_ALONE: Final = (
    "a stage is no application of its own: whoever reaches its port could emit events\n"
    '  to do: mount it in one that knows its users: api.mount("/stage", stage.asgi), FastAPI(lifespan=stage.lifespan)'
)


class Answer(NamedTuple):
    """A response: its status, its content type, its body, and further headers."""

    status: int
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@final
class StageApp:
    """`GET /livez /readyz /metrics /processes/KEY` and `POST /events`; mount it where the host checks who asks."""

    def __init__(self, stage: EmbeddedStage) -> None:
        """For this stage, which is entered by the host's lifespan or in a thread of its own."""
        self._stage = stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": _ALONE})
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        answer = await self._answer(scope, receive)
        if answer is not None:
            await _send(send, answer, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        path, method = _path_of(scope), scope["method"]
        if path == "/events":
            if method != "POST":
                return _not_allowed("POST")
            body = await _body(receive)
            return body if body is None or isinstance(body, Answer) else await self._emit(_headers(scope), body)
        if method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD")
        if path.startswith(_PROCESSES) and len(path) > len(_PROCESSES):
            return await self._process(path[len(_PROCESSES) :])
        return await answer_to_get(self._stage, path)

    async def _emit(self, headers: dict[str, str], body: bytes) -> Answer:
        stage = self._stage
        try:
            envelopes = from_request(headers, body)
        except InvalidEvent as error:
            return _refusal(error)
        if (why := stage.not_ready()) is not None:
            return _unavailable(why)
        if not envelopes:
            return _json(202, {"events": []})
        try:
            answers = await on_its_loop(stage, lambda: stage.emit_envelopes(envelopes, go_on=True))
        except (InvalidEvent, StoreUnavailable) as error:
            return _refusal(error)
        said = [
            {"id": each.id} | ({"error": str(answer)} if isinstance(answer, Exception) else {"process": answer.id})
            for each, answer in zip(envelopes, answers, strict=True)
        ]
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        if not refused:
            return _json(202, {"events": said})
        status, headers_too = _status_of(refused[-1])
        return _json(status, {"error": str(refused[-1]), "events": said}, headers_too)

    async def _process(self, key: str) -> Answer:
        stage = self._stage
        if (why := stage.not_ready()) is not None:
            return _unavailable(why)
        try:
            return _json(200, await on_its_loop(stage, lambda: _described(stage, key)))
        except LookupError as error:
            return _json(404, {"error": str(error)})
        except StoreUnavailable as error:
            return _unavailable(str(error))


async def answer_to_get(stage: EmbeddedStage, path: str) -> Answer:
    """The answer to a GET of health or metrics."""
    if path == "/livez":
        return Answer(200, _TEXT, b"ok\n")
    if path == "/readyz":
        why = stage.not_ready()
        return Answer(200, _TEXT, b"ok\n") if why is None else _unavailable(why)
    if path == "/metrics":
        text = await on_its_loop(stage, stage.metrics_text)
        return Answer(200, OPENMETRICS, text.encode())
    return _json(404, {"error": "there is nothing here: /livez, /readyz, /metrics, /events, /processes/KEY"})


async def _described(stage: EmbeddedStage, key: str) -> dict[str, Any]:
    handle = await stage.process(key)
    verdict = await stage.verdict_on(handle.id, 0)
    said = {"process": handle.id, "verdict": verdict}
    async with stage.reading() as reader:
        rows = [row for row in await reader.processes(key=key) if row.wire_id == handle.id]
    if rows:
        row = rows[0]
        said |= {"key": row.key, "declared": row.declared, "open": row.open, "outcome": row.outcome}
    return said


def _path_of(scope: Scope) -> str:
    """The path below the mount: frameworks give the whole path and say what comes before."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] or "/" if root and path.startswith(f"{root}/") else path


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _body(receive: Receive) -> bytes | Answer | None:
    """The request's body; an answer if it is too large, None if whoever sent it has gone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > REQUEST_BYTES_MAX:
            return _json(413, {"error": f"the request has more than {REQUEST_BYTES_MAX} bytes"})
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, answer: Answer, *, with_body: bool) -> None:
    headers = [
        ("content-type", answer.kind),
        ("content-length", str(len(answer.body))),
        ("cache-control", "no-store"),
        *answer.headers,
    ]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})


def _json(status: int, document: object, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, _JSON, msgspec.json.encode(document), headers)


def _not_allowed(methods: str) -> Answer:
    return _json(405, {"error": f"this takes {methods}"}, (("allow", methods),))


def _unavailable(why: str) -> Answer:
    return _json(503, {"error": why}, (("retry-after", "1"),))


def _refusal(error: Exception) -> Answer:
    status, headers = _status_of(error)
    return _json(status, {"error": str(error)}, headers)


def _status_of(error: Exception) -> tuple[int, tuple[tuple[str, str], ...]]:
    if isinstance(error, StoreUnavailable):
        return 503, (("retry-after", "1"),)
    return (409 if isinstance(error, DuplicateId | AmbiguousProcess) else 400), ()
