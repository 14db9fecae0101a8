"""The pages: what the read model says, as HTML. Every view is a GET whose address holds its whole state.

A page that is open asks for itself again when the stream says that something changed, names the parts that it shows,
and replaces these. So there is one way in which a page is made, and nothing on it that its address does not say.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from onstage.reading.failure import Failure
from onstage.web.json_api import filter_in
from onstage.web.links import Links
from onstage.web.process_panes import chosen_in, drawing_of, failures_only, flow_of
from onstage.web.rendering import render
from onstage.web.service_graph import graph_of
from onstage.web.shown import ProcessFilter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Scope

    from onstage.web.ui import Ui

    View = Callable[[Request], Awaitable[str | Response]]

__all__ = ["exception_page", "routes"]


class _Files(StaticFiles):
    """Files that a browser may keep, but asks about: one version never meets another."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "no-cache"
        return response


def routes(ui: Ui) -> list[BaseRoute]:
    """The routes of the pages."""
    pages = _Pages(ui)
    views: dict[str, View] = {
        "/": pages.attention,
        "/search": pages.search,
        "/processes": pages.processes,
        "/processes/{process:path}": pages.process,
        "/executions/{number:int}": pages.execution,
        "/map": pages.map,
        "/events": pages.event_types,
        "/events/{type:path}": pages.event_type,
        "/services": pages.services,
        "/audit": pages.audit,
    }
    static = Mount("/static", _Files(directory=Path(__file__).parent / "static"), name="static")
    return [*(Route(path, _answering(view), methods=["GET"]) for path, view in views.items()), static]


class _Pages:
    """The views, each from one reading."""

    def __init__(self, ui: Ui) -> None:
        self._ui = ui

    async def attention(self, request: Request) -> str:
        """What needs somebody."""
        return _page(request, "attention.html", "attention", page=await self._ui.attention())

    async def search(self, request: Request) -> Response:
        """To the process, if there is only one that fits, else to all that do."""
        at, sought = _links(request), request.query_params.get("q", "").strip()
        found = await self._ui.processes(ProcessFilter(q=sought), limit=2) if sought else None
        if found is not None and len(found.rows) == 1:
            return RedirectResponse(at.process(found.rows[0].process), 303)
        return RedirectResponse(at.processes(q=sought), 303)

    async def processes(self, request: Request) -> str:
        """A list of processes."""
        asked = request.query_params
        page = await self._ui.processes(filter_in(asked), after=asked.get("after") or None)
        return _page(request, "processes.html", "processes", page=page)

    async def process(self, request: Request) -> str:
        """Where is my order?"""
        asked = request.query_params
        whole = await self._ui.process(request.path_params["process"], after=_number(asked, "after") or 0)
        failures = asked.get("failures") == "1"
        page = failures_only(whole) if failures else whole
        chosen = chosen_in(whole, event=_number(asked, "event"), execution=_number(asked, "execution"))
        is_asked = asked.get("plan") == "1" and whole.wave is None and bool(whole.actions)
        plan = (await self._ui.plan(page.head.process)).plan if is_asked else None
        return _page(
            request,
            "process.html",
            "processes",
            topic=f"process/{page.head.process}",
            page=page,
            failures=failures,
            chosen=chosen,
            drawing=drawing_of(page),
            flow=flow_of(page),
            plan=plan,
        )

    async def execution(self, request: Request) -> str:
        """One execution with its journal."""
        after = _number(request.query_params, "after")
        page = await self._ui.execution(request.path_params["number"], after=-1 if after is None else after)
        topic = f"process/{page.process.process}"
        return _page(request, "execution.html", "processes", topic=topic, page=page)

    async def map(self, request: Request) -> str:
        """Services and what goes between them."""
        page = await self._ui.service_map()
        asked = request.query_params
        graph = graph_of(page, around=asked.get("service") or None, whole="whole" in asked)
        return _page(request, "map.html", "map", page=page, graph=graph)

    async def event_types(self, request: Request) -> str:
        """All types of events."""
        return _page(request, "event_types.html", "events", page=await self._ui.event_types())

    async def event_type(self, request: Request) -> str:
        """One type of events."""
        asked = request.query_params
        page = await self._ui.event_type(request.path_params["type"], after=_number(asked, "after"))
        return _page(request, "event_type.html", "events", page=page, into=asked.get("process", ""))

    async def services(self, request: Request) -> str:
        """All handlers."""
        return _page(request, "services.html", "services", page=await self._ui.services())

    async def audit(self, request: Request) -> str:
        """What operators did."""
        after = _number(request.query_params, "after")
        return _page(request, "audit.html", "audit", page=await self._ui.audit(after=after))


def _answering(view: View) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            made = await view(request)
        except LookupError as error:
            return exception_page(request, error, 404)
        except ValueError as error:
            return exception_page(request, error, 400)
        except Failure as error:
            return exception_page(request, error, 503)
        return HTMLResponse(made) if isinstance(made, str) else made

    return answer


def _page(request: Request, template: str, here: str, *, topic: str | None = None, **values: Any) -> str:
    at = _links(request)
    return render(template, at=at, here=here, topic=topic or here, **values)


def exception_page(request: Request, error: Exception, status: int) -> Response:
    """A page that says what went wrong, in the words of the error."""
    title = {400: "That is no address of a page", 404: "Not found", 503: "The store cannot be read"}.get(
        status, "Sorry"
    )
    lines = str(error).strip("'").splitlines()
    return HTMLResponse(render("problem.html", at=_links(request), title=title, lines=lines), status)


def _links(request: Request) -> Links:
    return Links(request.scope.get("root_path", "").rstrip("/"), csrf=request.scope.get("state", {}).get("csrf", ""))


def _number(query: Mapping[str, str], name: str) -> int | None:
    return int(query[name]) if query.get(name) else None
