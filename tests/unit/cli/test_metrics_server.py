"""Health and metrics on a port of the loopback address."""

import asyncio
from dataclasses import dataclass

import pytest

from onstage import App, Service, event
from onstage.cli.failures import Failure
from onstage.cli.metrics_server import HEAD_BYTES_MAX, HOST, metrics_server


@event("served.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


shop = Service("shop")


@shop.on(Placed)
async def take(e: Placed) -> None:
    return


async def ask(port: int, request: str) -> str:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request.encode())
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer.decode()


def get(path: str, host: str = "localhost") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"


def test_metrics_and_health_are_answered_to_this_machine_only() -> None:
    async def work() -> None:
        stage = App(shop).run("memory:")
        stage.is_measured = True
        async with metrics_server(stage, 0) as port:
            assert (await ask(port, get("/readyz"))).startswith("HTTP/1.1 503 ")
            async with stage:
                process = await stage.emit(Placed("o1"))
                await process.verdict(timeout=10)
                metrics = await ask(port, get("/metrics?x=1", f"{HOST}:{port}"))
                assert metrics.startswith("HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text")
                assert 'onstage_executions_total{handler="shop.take",outcome="done"} 1' in metrics
                assert (await ask(port, get("/readyz"))).startswith("HTTP/1.1 200 ")
                assert (await ask(port, get("/events"))).startswith("HTTP/1.1 404 ")
                assert (await ask(port, get("/metrics", "evil.example"))).startswith("HTTP/1.1 421 ")
                assert (await ask(port, get("/metrics", ""))).startswith("HTTP/1.1 421 ")
                assert (await ask(port, "POST /events HTTP/1.1\r\nHost: localhost\r\n\r\n")).startswith("HTTP/1.1 405 ")
                assert (await ask(port, "nonsense\r\n\r\n")).startswith("HTTP/1.1 405 ")
                assert (await ask(port, "x" * (HEAD_BYTES_MAX + 9))).startswith("HTTP/1.1 431 ")

    asyncio.run(work())


def test_a_port_that_is_taken_is_said() -> None:
    async def work() -> None:
        stage = App(shop).run("memory:")
        async with metrics_server(stage, 0) as port:
            with pytest.raises(Failure, match="cannot be used"):
                async with metrics_server(stage, port):
                    raise AssertionError("it must not begin")

    asyncio.run(work())
