"""Restate's server, its handlers served by Hypercorn: `npm install -g @restatedev/restate-server`."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Any

import httpx2
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from benchmarks.peers.workload import FAN_OUT, PAYLOAD, STEPS, measure

__all__ = ["PACKAGES", "PROGRAMS", "run"]

PACKAGES = ("restate-sdk", "hypercorn")
PROGRAMS = ("restate-server",)

bench = restate.Service("bench")


async def charge(text: str) -> str:
    """An effect that takes no time."""
    return text


@bench.handler()
async def ten(ctx: restate.Context, text: str) -> str:
    """Ten steps, one after the other."""
    for place in range(STEPS):
        text = await ctx.run_typed(f"charge-{place}", charge, text=text)
    return text


@bench.handler()
async def fan(ctx: restate.Context, text: str) -> int:
    """A hundred steps beside each other."""
    calls = [ctx.run_typed(f"charge-{place}", charge, text=text) for place in range(FAN_OUT)]
    return len(await restate.gather(*calls))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def _measured(ingress: str, admin: str) -> dict[str, float]:
    config, stop = Config(), asyncio.Event()
    config.bind = [f"127.0.0.1:{_free_port()}"]
    served = asyncio.create_task(serve(restate.app([bench]), config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(timeout=30) as client:
        give_up = time.monotonic() + 60
        while not await _registered(client, admin, config.bind[0]):
            assert time.monotonic() < give_up, "the server does not take the handlers"
            await asyncio.sleep(0.3)

        async def call(handler: str, name: str) -> None:
            headers = {"idempotency-key": f"{handler}-{name}"}
            answer = await client.post(f"http://{ingress}/bench/{handler}", json=PAYLOAD, headers=headers)
            answer.raise_for_status()

        found = await measure(lambda name: call("ten", name), lambda name: call("fan", name))
    stop.set()
    await served
    return found


async def _registered(client: Any, admin: str, handlers: str) -> bool:
    try:
        answer = await client.post(f"http://{admin}/deployments", json={"uri": f"http://{handlers}"})
    except httpx2.TransportError:
        return False
    return bool(answer.is_success)


def run() -> dict[str, float]:
    """Measure it on a server of its own, on files."""
    program = shutil.which("restate-server")
    if program is None:
        raise FileNotFoundError("there is no restate-server on the PATH")
    ports = [f"127.0.0.1:{_free_port()}" for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "RESTATE_INGRESS__BIND_ADDRESS": ports[0],
            "RESTATE_ADMIN__BIND_ADDRESS": ports[1],
            "RESTATE_BIND_ADDRESS": ports[2],
            "RESTATE_ADVERTISED_ADDRESS": f"http://{ports[2]}",
            "RESTATE_LOG_FILTER": "error",
            "DO_NOT_TRACK": "1",
        }
        server = subprocess.Popen([program, "--base-dir", folder], env=environment, stdout=subprocess.DEVNULL)
        try:
            return asyncio.run(_measured(ports[0], ports[1]))
        finally:
            server.terminate()
            server.wait()
