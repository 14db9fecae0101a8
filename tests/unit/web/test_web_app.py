"""The application of the web UI, mounted in another one."""

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from onstage.errors import UsageError
from onstage.web.security import COOKIE, CSRF_HEADER
from onstage.web.web_app import mounted_ui


@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
def test_it_is_mounted_under_any_path_and_name(tiny: Any, framework: str) -> None:
    tiny.play(("o1", 5))
    ui = mounted_ui(f"sqlite:///{tiny.store}")
    app: Any = FastAPI() if framework == "fastapi" else Starlette(routes=[Mount("/board", ui)])
    if framework == "fastapi":
        app.mount("/board", ui)
    with TestClient(app, base_url="http://shop.example") as client:
        answer = client.get("/board/api/v1/processes/o1")
        assert answer.json()["head"]["verdict"] == "completed"
        assert "Path=/board;" in answer.headers["set-cookie"]
        assert client.cookies[COOKIE]
        said = {CSRF_HEADER: client.get("/board/api/v1/session").json()["csrf"]}
        assert client.post("/board/api/v1/handlers/mail/pause", headers=said).status_code == 409
        assert client.post("/board/api/v1/handlers/mail/pause").status_code == 403
        assert client.get("/api/v1/processes/o1").status_code == 404


def test_a_store_in_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="memory"):
        mounted_ui("memory://")
