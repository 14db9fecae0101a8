"""The tiny app in two nodes with a store each, payment.db and mail.db, and an observer's view.db."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.ports.clock import SystemClock
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.runtime.observatory import Observatory
from onstage.runtime.workers import ThreadWorkers
from onstage.stores.sqlite.store import SqliteStore

PATIENCE_S = 20.0


def store(path: Path) -> SqliteStore:
    return SqliteStore(path, clock=SystemClock(), workers=ThreadWorkers())


def play_apart(tiny: Any, *orders: tuple[str, int]) -> list[str]:
    """Run payment, mail and an observer until it says of each order that it moves no more; answers their processes."""
    return asyncio.run(_play(tiny, orders))


async def _play(tiny: Any, orders: tuple[tuple[str, int], ...]) -> list[str]:
    app, log, clock = tiny.app(), EmbeddedLog(), SystemClock()
    nodes = {
        name: Node(
            app.services,
            app.processes,
            store=store(tiny.folder / f"{name}.db"),
            clock=clock,
            workers=ThreadWorkers(),
            broker=EmbeddedBroker(log),
            hosted=[name],
        )
        for name in ("payment", "mail")
    }
    observatory = Observatory(EmbeddedBroker(log), lambda: store(tiny.folder / "view.db"), clock)
    try:
        for node in nodes.values():
            await node.start()
        await observatory.start()
        ways = LocalWays(nodes["payment"])
        data = [msgspec.json.encode({"order_id": key, "amount": amount}) for key, amount in orders]
        processes = [await ways.emit("order-placed", each, id=None, source=None) for each in data]
        async with asyncio.timeout(PATIENCE_S):
            for process in processes:
                await _settled(observatory, process)
        return processes
    finally:
        for node in nodes.values():
            await node.close()
        await observatory.close()


async def _settled(observatory: Observatory, process: str) -> None:
    while True:
        verdict = await observatory.verdict(process, 0.02)
        if verdict is not None and verdict.status != "running":
            return
        await asyncio.sleep(0.01)
