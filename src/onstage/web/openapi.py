"""The OpenAPI document of the JSON API, made from the structs that it sends."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import msgspec

from onstage.web import shown, shown_around
from onstage.web.actions import (
    EXECUTION_ACTIONS,
    HANDLER_ACTIONS,
    PROCESS_ACTIONS,
    Bulk,
    Emission,
    Noted,
    Pausing,
    Skipping,
)

__all__ = ["CALLS", "Call", "document"]


class Call(NamedTuple):
    """One call of the API: its method, its path below `/api/v1`, what it does, what it answers and takes."""

    method: str
    path: str
    does: str
    answers: Any
    takes: Any = None
    query: tuple[str, ...] = ()


_FILTER: Final = shown.ProcessFilter.__struct_fields__
_PAGE: Final = ("after", "limit")

CALLS: Final = (
    Call("get", "/attention", "What needs somebody.", shown.AttentionPage),
    Call("get", "/processes", "Processes, the newest first.", shown.ProcessesPage, query=(*_FILTER, *_PAGE)),
    Call("get", "/processes/{process}", "One process, by public id or key.", shown.ProcessPage, query=_PAGE),
    Call("get", "/processes/{process}/plan", "What undoing it would undo, in which order.", shown.PlanPage),
    Call("get", "/processes/{process}/{file}", "To take away: export.json, diagram.mmd or test.py.", None),
    Call("get", "/executions/{number}", "One execution with its journal.", shown.ExecutionPage, query=_PAGE),
    Call("get", "/events", "All event types.", shown_around.EventTypesPage),
    Call("get", "/events/{type}", "One event type, with samples.", shown_around.EventTypePage, query=_PAGE),
    Call("get", "/map", "Services and the events between them.", shown_around.MapPage, query=("service", "type")),
    Call("get", "/services", "Handlers and their pauses.", shown_around.ServicesPage),
    Call("get", "/audit", "What operators did.", shown_around.AuditPage, query=_PAGE),
    Call("get", "/session", "The value for the CSRF header of this browser.", dict[str, str]),
    Call("get", "/live", "Server-sent events: which topics have changed.", None, query=("topic", "last")),
    Call("post", "/processes/{process}/{action}", "Undo, cancel or resolve a process.", shown_around.Done, Noted),
    Call("post", "/executions/{number}/skip", "Let a stuck step count as done.", shown_around.Done, Skipping),
    Call("post", "/executions/{number}/{action}", "Act on one execution.", shown_around.Done),
    Call("post", "/executions/{action}", "Act on executions.", shown_around.Done, Bulk),
    Call("post", "/handlers/{name}/{action}", "Pause or resume a handler or service.", shown_around.Done, Pausing),
    Call("post", "/events", "Emit a test event.", shown_around.Done, Emission),
)

_REF: Final = "#/components/schemas/{name}"


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    kinds = [kind for call in CALLS for kind in (call.answers, call.takes) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    found = dict(zip(map(repr, kinds), schemas, strict=True))
    paths: dict[str, Any] = {}
    for call in CALLS:
        paths.setdefault(f"/api/v1{call.path}", {})[call.method] = _operation(call, found)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Onstage web UI", "version": version("onstage")},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    content = (
        {"text/event-stream" if call.path == "/live" else "text/plain": {"schema": {"type": "string"}}}
        if call.answers is None
        else {"application/json": {"schema": found[repr(call.answers)]}}
    )
    status = "202" if call.method == "post" and call.path == "/events" else "200"
    error = {"description": 'An error, as `{"error": ...}`: what, why, what to do.'}
    said: dict[str, Any] = {
        "summary": call.does,
        "parameters": [*_path_parameters(call.path), *map(_query_parameter, call.query)],
        "responses": {status: {"description": call.does, "content": content}, "default": error},
    }
    if call.takes is not None:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": found[repr(call.takes)]}}}
    return said


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    kinds = {"handlers": HANDLER_ACTIONS, "processes": PROCESS_ACTIONS}
    actions = kinds.get(path.split("/")[1], EXECUTION_ACTIONS)
    schemas = {"action": {"enum": sorted(actions)}, "number": {"type": "integer"}}
    return [
        {"name": name, "in": "path", "required": True, "schema": schemas.get(name, {"type": "string"})}
        for name in names
    ]


def _query_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
