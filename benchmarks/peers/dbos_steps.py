"""DBOS Transact on an SQLite file: `pip install dbos`."""

from __future__ import annotations

import asyncio
import tempfile

from dbos import DBOS, SetWorkflowID

from benchmarks.peers.workload import FAN_OUT, PAYLOAD, STEPS, measure

__all__ = ["PACKAGES", "run"]

PACKAGES = ("dbos",)


@DBOS.step()
async def charge(text: str) -> str:
    """An effect that takes no time."""
    return text


@DBOS.workflow()
async def ten(text: str) -> str:
    """Ten steps, one after the other."""
    for _ in range(STEPS):
        text = await charge(text)
    return text


@DBOS.workflow()
async def fan(text: str) -> int:
    """A hundred steps beside each other."""
    return len(await asyncio.gather(*(charge(text) for _ in range(FAN_OUT))))


async def _ten(name: str) -> None:
    with SetWorkflowID(name):
        handle = await DBOS.start_workflow_async(ten, PAYLOAD)
    await handle.get_result()


async def _fan(name: str) -> None:
    with SetWorkflowID(f"fan-{name}"):
        handle = await DBOS.start_workflow_async(fan, PAYLOAD)
    await handle.get_result()


def run() -> dict[str, float]:
    """Measure it on a fresh file."""
    with tempfile.TemporaryDirectory() as folder:
        DBOS(
            config={
                "name": "bench",
                "system_database_url": f"sqlite:///{folder}/system.db",
                "run_admin_server": False,
                "log_level": "ERROR",
            }
        )
        DBOS.launch()
        try:
            return asyncio.run(measure(_ten, _fan))
        finally:
            DBOS.destroy()
