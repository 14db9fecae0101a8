"""How the API answers: structs as JSON, errors as `{"error": ...}` with the status that says who must act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qs

import msgspec
from starlette.responses import Response

from onstage.errors import DuplicateId, InvalidEvent, OperationError, UsageError
from onstage.reading.failure import Failure

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["BODY_BYTES_MAX", "TooLarge", "body_as", "exception_handlers", "json_answer", "number_in", "operator"]

BODY_BYTES_MAX: Final = 2 << 20
"""The longest body of a request."""

_FORM: Final = "application/x-www-form-urlencoded"

T = TypeVar("T")


class TooLarge(ValueError):
    """The body of a request is longer than `BODY_BYTES_MAX`."""


def json_answer(value: object, status: int = 200) -> Response:
    """A struct as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def body_as(request: Request, kind: type[T]) -> T:
    """The body of a request, JSON or a form, as a struct. Raises ValueError for one that is none."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise TooLarge(f"the request has more than {BODY_BYTES_MAX} bytes")
        parts.append(part)
    body = b"".join(parts)
    if request.headers.get("content-type", "").partition(";")[0] != _FORM:
        return msgspec.json.decode(body or b"{}", type=kind)
    return _from_form(body, kind)


def _from_form(body: bytes, kind: type[T]) -> T:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for name, values in parse_qs(body.decode(), max_num_fields=2_000).items():
        is_list = name in fields and "tuple" in str(fields[name].type)
        given[name] = values if is_list else values[-1]
    return msgspec.convert(given, kind, strict=False)


def number_in(query: Mapping[str, Any], name: str, default: int) -> int:
    """A number of a query string. Raises ValueError."""
    text = str(query.get(name) or "")
    if not text:
        return default
    if len(text) > 19:
        raise ValueError(f"{name} is no number of at most 19 digits")
    return int(text)


def operator(request: Request) -> str:
    """Who acts, as the audit log names them: whom the application around us knows, else from where they asked."""
    user = request.scope.get("user")
    name = getattr(user, "display_name", "") if user is not None else ""
    host = request.client.host if request.client is not None else "somewhere"
    return name or f"web UI at {host}"


def exception_handlers() -> Mapping[Any, Any]:
    """How errors are told."""
    return {
        Failure: _told(503),
        OperationError: _told(503),
        LookupError: _told(404),
        TooLarge: _told(413),
        ValueError: _told(400),
        InvalidEvent: _told(400),
        DuplicateId: _told(409),
        UsageError: _told(409),
    }


def _told(status: int) -> Any:
    async def tell(_: Request, error: Exception) -> Response:
        return json_answer({"error": str(error)}, status)

    return tell
