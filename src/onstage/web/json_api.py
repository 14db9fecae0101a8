"""The JSON API: what the pages show, for programs, and what can be done, as POSTs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from onstage.web.actions import Bulk, Emission, Noted, Pausing, Skipping
from onstage.web.answers import body_as, json_answer, number_in, operator
from onstage.web.live import PER_SECOND_MAX, is_topic
from onstage.web.openapi import document
from onstage.web.process_page import EVENTS_MAX
from onstage.web.shown import ProcessFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from onstage.web.ui import Ui

__all__ = ["filter_in", "routes"]


_EXPORTS: Final = {
    "export.json": ("json", "application/json"),
    "diagram.mmd": ("mermaid", "text/plain"),
    "test.py": ("test", "text/x-python"),
}


def routes(ui: Ui) -> list[BaseRoute]:
    """The routes below `/api/v1`."""
    return [*_reading(ui), *_around(ui), *_acting(ui)]


def filter_in(query: Mapping[str, str]) -> ProcessFilter:
    """The filter that a query string says. Raises ValueError for one that is none."""
    names = ProcessFilter.__struct_fields__
    given = {name: value for name, value in query.items() if name in names and value}
    return msgspec.convert(given, ProcessFilter, strict=False)


def _reading(ui: Ui) -> list[BaseRoute]:
    async def attention(_: Request) -> Response:
        return json_answer(await ui.attention())

    async def processes(request: Request) -> Response:
        asked = request.query_params
        limit = number_in(asked, "limit", 50)
        return json_answer(await ui.processes(filter_in(asked), after=asked.get("after") or None, limit=limit))

    async def process(request: Request) -> Response:
        asked = request.query_params
        after, limit = number_in(asked, "after", 0), number_in(asked, "limit", EVENTS_MAX)
        return json_answer(await ui.process(request.path_params["process"], after=after, limit=limit))

    async def plan(request: Request) -> Response:
        return json_answer(await ui.plan(request.path_params["process"]))

    async def exported(request: Request) -> Response:
        at = request.path_params
        form, media_type = _EXPORTS.get(at["file"], ("", ""))
        body = await ui.exported(at["process"], form or at["file"])
        disposition = f'attachment; filename="process-{at["file"]}"'
        return Response(body, media_type=media_type, headers={"content-disposition": disposition})

    async def execution(request: Request) -> Response:
        asked = request.query_params
        after, limit = number_in(asked, "after", -1), number_in(asked, "limit", 500)
        return json_answer(await ui.execution(number_in(request.path_params, "number", 0), after=after, limit=limit))

    return [
        Route("/api/v1/attention", attention),
        Route("/api/v1/processes", processes),
        Route("/api/v1/processes/{process}", process),
        Route("/api/v1/processes/{process}/plan", plan),
        Route("/api/v1/processes/{process}/{file}", exported),
        Route("/api/v1/executions/{number}", execution),
    ]


def _around(ui: Ui) -> list[BaseRoute]:
    async def event_types(_: Request) -> Response:
        return json_answer(await ui.event_types())

    async def event_type(request: Request) -> Response:
        asked = request.query_params
        after, limit = number_in(asked, "after", 0), number_in(asked, "limit", 20)
        return json_answer(await ui.event_type(request.path_params["type"], after=after or None, limit=limit))

    async def service_map(request: Request) -> Response:
        asked = request.query_params
        return json_answer(await ui.service_map(services=asked.getlist("service"), types=asked.getlist("type")))

    async def services(_: Request) -> Response:
        return json_answer(await ui.services())

    async def audit(request: Request) -> Response:
        asked = request.query_params
        after, limit = number_in(asked, "after", 0), number_in(asked, "limit", 50)
        return json_answer(await ui.audit(after=after or None, limit=limit))

    async def session(request: Request) -> Response:
        return json_answer({"csrf": request.scope["state"]["csrf"]})

    async def live(request: Request) -> Response:
        topics = request.query_params.getlist("topic")
        if not topics or not all(map(is_topic, topics)):
            raise ValueError("name topics: ?topic=attention&topic=process/ID")
        if ui.live.is_full:
            return json_answer({"error": "too many listen already: close a page"}, 503)
        last = request.headers.get("last-event-id") or request.query_params.get("last") or None
        number = None if last is None else number_in({"last": last}, "last", 0)
        return StreamingResponse(_told(ui, topics, number), media_type="text/event-stream")

    async def openapi(_: Request) -> Response:
        return json_answer(document())

    return [
        Route("/api/v1/events", event_types),
        Route("/api/v1/events/{type}", event_type),
        Route("/api/v1/map", service_map),
        Route("/api/v1/services", services),
        Route("/api/v1/audit", audit),
        Route("/api/v1/session", session),
        Route("/api/v1/live", live),
        Route("/api/v1/openapi.json", openapi),
    ]


async def _told(ui: Ui, topics: list[str], last: int | None) -> AsyncIterator[str]:
    yield f"retry: {1000 // PER_SECOND_MAX}\n\n"
    async for notice in ui.live.listen(topics, last):
        yield ": still here\n\n" if notice is None else f"id: {notice[0]}\nevent: changed\ndata: {notice[1]}\n\n"


def _acting(ui: Ui) -> list[BaseRoute]:
    async def on_one(request: Request) -> Response:
        number, action = number_in(request.path_params, "number", 0), request.path_params["action"]
        return json_answer(await ui.actions.on_executions(operator(request), action, [number]))

    async def skip(request: Request) -> Response:
        number, wanted = number_in(request.path_params, "number", 0), await body_as(request, Skipping)
        return json_answer(await ui.actions.skip(operator(request), number, wanted))

    async def on_process(request: Request) -> Response:
        wanted, at = await body_as(request, Noted), request.path_params
        return json_answer(await ui.actions.on_process(operator(request), at["action"], at["process"], wanted.note))

    async def on_many(request: Request) -> Response:
        wanted = await body_as(request, Bulk)
        action = request.path_params["action"]
        return json_answer(await ui.actions.on_executions(operator(request), action, wanted.executions))

    async def on_handler(request: Request) -> Response:
        wanted, at = await body_as(request, Pausing), request.path_params
        return json_answer(await ui.actions.on_handler(operator(request), at["action"], at["name"], wanted.why))

    async def emit(request: Request) -> Response:
        return json_answer(await ui.actions.emit(operator(request), await body_as(request, Emission)), 202)

    return [
        Route("/api/v1/executions/{number}/skip", skip, methods=["POST"]),
        Route("/api/v1/executions/{number}/{action}", on_one, methods=["POST"]),
        Route("/api/v1/processes/{process}/{action}", on_process, methods=["POST"]),
        Route("/api/v1/executions/{action}", on_many, methods=["POST"]),
        Route("/api/v1/handlers/{name}/{action}", on_handler, methods=["POST"]),
        Route("/api/v1/events", emit, methods=["POST"]),
    ]
