"""The OpenAPI document fits what the API answers."""

from typing import Any

import msgspec

from onstage.web.openapi import CALLS, document


def test_every_call_is_described_and_every_route_is_a_call(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui()
    assert client.get("/api/v1/openapi.json").json() == msgspec.json.decode(msgspec.json.encode(document()))
    routes = {
        (method.lower(), route.path)
        for route in client.app.routes
        for method in getattr(route, "methods", None) or ()
        if route.path.startswith("/api/v1/") and method != "HEAD"
    }
    described = {(call.method, f"/api/v1{call.path}") for call in CALLS} | {("get", "/api/v1/openapi.json")}
    assert routes == described


def test_what_is_answered_is_what_the_schema_says(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", -1))
    client = ui()
    for call in CALLS:
        if call.method == "get" and call.answers is not None and "{" not in call.path:
            body = client.get(f"/api/v1{call.path}").content
            assert msgspec.json.decode(body, type=call.answers)


def test_references_lead_somewhere() -> None:
    text = msgspec.json.encode(document()).decode()
    schemas = document()["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named
    assert named <= set(schemas)
