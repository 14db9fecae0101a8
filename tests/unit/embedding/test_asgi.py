"""The ASGI application: in FastAPI and Starlette, mounted, with the lifespan wired and not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.unit.embedding.shop import APP, handled

from onstage.embedding.asgi import OPENMETRICS, Answer, StageApp, answer_to_get
from onstage.embedding.http_events import REQUEST_BYTES_MAX
from onstage.stage import Stage

JSON_EVENT = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def mounted(stage: Stage) -> FastAPI:
    api = FastAPI(lifespan=stage.lifespan)
    api.mount("/stage", stage.asgi)
    return api


@asynccontextmanager
async def running(api: Any) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=api)
    async with (
        api.router.lifespan_context(api),
        httpx2.AsyncClient(transport=transport, base_url="http://host/stage") as client,
    ):
        yield client


def play(scene: Callable[[httpx2.AsyncClient], Awaitable[None]], api: Any = None) -> None:
    async def run() -> None:
        async with running(api if api is not None else mounted(APP.run("memory:"))) as client:
            await scene(client)

    asyncio.run(run())


def placed(id: str, key: str | None = None, *, type: str = "embed.placed") -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "//web", "type": type, "data": {"id": key or id}}


async def post(client: httpx2.AsyncClient, document: Any, headers: dict[str, str]) -> tuple[int, Any]:
    answer = await client.post("/events", content=msgspec.json.encode(document), headers=headers)
    return answer.status_code, answer.json()


async def ended(client: httpx2.AsyncClient, key: str) -> Any:
    """The process, once it has ended; its place is asked for as a page would."""
    async with asyncio.timeout(10):
        while True:
            document = (await client.get(f"/processes/{key}")).json()
            if document["verdict"]["status"] != "running":
                return document
            await asyncio.sleep(0.005)


def test_events_come_in_by_each_mode_once_and_their_process_is_looked_at() -> None:
    async def scene(client: httpx2.AsyncClient) -> None:
        handled.clear()
        binary = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "//web", "ce-type": "embed.placed"}
        first = await post(client, {"id": "1"}, binary | {"content-type": "application/json"})
        again = await post(client, placed("1"), JSON_EVENT)
        batch = await post(client, [placed("1"), placed("2")], BATCH)
        assert [status for status, _ in (first, again, batch)] == [202, 202, 202]
        assert first[1] == again[1] == {"events": batch[1]["events"][:1]}
        document = await ended(client, "2")
        assert document["verdict"] | {"reasons": []} == {
            "status": "completed", "outcome": "embed.paid", "reasons": [], "until": None, "violated": [],
        }  # fmt: skip
        assert (document["key"], document["declared"], document["open"]) == ("2", "order", 0)
        assert document["process"] == batch[1]["events"][1]["process"]
        assert sorted(handled) == ["1", "2"]

    play(scene)


def test_what_is_refused_says_why_and_what_is_good_in_a_batch_is_kept() -> None:
    async def scene(client: httpx2.AsyncClient) -> None:
        await post(client, placed("1"), JSON_EVENT)
        unknown = await post(client, placed("2", type="no.such"), JSON_EVENT)
        other = await post(client, placed("1", key="other"), JSON_EVENT)
        mixed = await post(client, [placed("3"), placed("4", type="no.such"), placed("5")], BATCH)
        assert (unknown[0], other[0], mixed[0]) == (400, 409, 400)
        assert [sorted(each) for each in mixed[1]["events"]] == [["id", "process"], ["error", "id"], ["id", "process"]]
        assert (await client.get("/processes/5")).status_code == 200
        assert (await post(client, {}, {"content-type": "application/json"}))[0] == 400
        assert await post(client, [], BATCH) == (202, {"events": []})
        large = await client.post("/events", content=b"x" * (REQUEST_BYTES_MAX + 1), headers=JSON_EVENT)
        assert large.status_code == 413

    play(scene)


def test_paths_and_methods_that_there_are_not() -> None:
    async def scene(client: httpx2.AsyncClient) -> None:
        get = await client.get("/events")
        assert (get.status_code, get.headers["allow"]) == (405, "POST")
        assert (await client.post("/metrics")).status_code == 405
        assert [(await client.get(path)).status_code for path in ("/x", "/processes/", "/processes/no")] == [404] * 3
        head = await client.head("/livez")
        assert (head.status_code, head.content, head.headers["cache-control"]) == (200, b"", "no-store")

    play(scene)


def test_metrics_are_openmetrics_and_count_what_was_done() -> None:
    async def scene(client: httpx2.AsyncClient) -> None:
        await post(client, placed("1"), JSON_EVENT)
        await ended(client, "1")
        answer = await client.get("/metrics")
        assert answer.headers["content-type"] == OPENMETRICS
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        (done,) = families["onstage_executions"].samples
        assert (done.labels, done.value) == ({"handler": "shop.take", "outcome": "done"}, 1)

    play(scene)


def test_a_stage_without_its_lifespan_lives_and_is_not_ready() -> None:
    api = Starlette(routes=[Mount("/stage", app=APP.run("memory:").asgi)])

    async def scene(client: httpx2.AsyncClient) -> None:
        assert (await client.get("/livez")).status_code == 200
        for answer in (
            await client.get("/readyz"),
            await client.get("/processes/x"),
            await client.post("/events", content=msgspec.json.encode(placed("1")), headers=JSON_EVENT),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "FastAPI(lifespan=stage.lifespan)" in answer.text

    play(scene, api)


def test_it_is_not_ready_while_the_store_is_in_trouble() -> None:
    stage = APP.run("memory:")

    async def scene(client: httpx2.AsyncClient) -> None:
        assert (await client.get("/readyz")).text == "ok\n"
        stage._node.store.trouble = "disk full"  # type: ignore[union-attr, misc]  # noqa: SLF001
        assert (await client.get("/readyz")).json() == {"error": "disk full"}
        assert (await post(client, placed("1"), JSON_EVENT))[0] == 503

    play(scene, mounted(stage))


def test_a_stage_in_a_thread_of_its_own_is_asked_there(folder: Path) -> None:
    stage = APP.run(f"sqlite:///{folder}/node.db")
    api = FastAPI()
    api.mount("/stage", stage.asgi)

    async def scene(client: httpx2.AsyncClient) -> None:
        assert (await post(client, placed("1"), JSON_EVENT))[0] == 202
        assert (await client.get("/processes/1")).json()["key"] == "1"
        assert (await client.get("/metrics")).status_code == 200

    with stage.run_in_background():
        play(scene, api)


def test_it_is_no_application_of_its_own() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    application = StageApp(APP.run("memory:"))
    asyncio.run(application({"type": "lifespan"}, receive, send))
    asyncio.run(application({"type": "websocket"}, receive, send))
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "mount it" in sent[0]["message"]
    assert sent[1]["type"] == "websocket.close"


def test_whoever_goes_away_in_the_middle_of_a_request_is_answered_nothing() -> None:
    messages: list[Any] = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "path": "/events", "method": "POST", "headers": []}
    asyncio.run(StageApp(APP.run("memory:"))(scope, receive, send))
    assert messages == []


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/elsewhere"])
def test_health_needs_no_request(path: str) -> None:
    found = asyncio.run(answer_to_get(APP.run("memory:"), path))
    assert isinstance(found, Answer)
    assert found.status == {"/livez": 200, "/readyz": 503, "/elsewhere": 404}[path]
