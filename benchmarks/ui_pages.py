"""How long the server takes for each page of the web UI, on a store of a million executions."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from starlette.testclient import TestClient

from benchmarks.ui_store import build
from onstage.ports.clock import SystemClock
from onstage.web.web_app import make_app

__all__ = ["ADDRESSES", "pages"]

TIMES = 40
SLOWEST = 0.95

ADDRESSES = {
    "attention": "/api/v1/attention",
    "processes": "/api/v1/processes",
    "stuck": "/api/v1/processes?verdict=stuck",
    "running": "/api/v1/processes?verdict=running",
    "waiting": "/api/v1/processes?verdict=waiting",
    "dead ends": "/api/v1/processes?verdict=dead%20end",
    "completed": "/api/v1/processes?verdict=completed",
    "search": "/api/v1/processes?q=order-1234",
    "handler": "/api/v1/processes?handler=ship.load",
    "type": "/api/v1/processes?type=ui.ordered",
    "process": "/api/v1/processes/order-1000",
    "process of 1,000": "/api/v1/processes/large",
    "execution": "",
    "events": "/api/v1/events",
    "event type": "/api/v1/events/ui.shipped",
    "map": "/api/v1/map",
    "services": "/api/v1/services",
    "audit": "/api/v1/audit",
}


def pages(executions: int, open_processes: int) -> dict[str, float]:
    """The p95 of each (ms), with what is remembered between requests made anew each time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.db"
        build(path, executions=executions, open_processes=open_processes, now_ms=SystemClock().now_ms())
        app = make_app(path)
        with TestClient(app, base_url="http://localhost") as client:
            number = client.get("/api/v1/processes/order-1000").json()["executions"][0]["id"]
            named = ADDRESSES | {"execution": f"/api/v1/executions/{number}"}
            return {name: _p95(client, address) for name, address in named.items()}


def _p95(client: TestClient, address: str) -> float:
    took = []
    for _ in range(TIMES):
        start = time.perf_counter()
        answer = client.get(address)
        took.append((time.perf_counter() - start) * 1000)
        assert answer.status_code == 200, (address, answer.text)
    return statistics.quantiles(took, n=20)[round(SLOWEST * 20) - 1]
