"""The play as a node in a process of its own: `python sync_app.py STORE`. Emits, waits for the end, prints verdicts.

With VFS_FAULTS in the environment ("3,7") these operations meet a sync error in a VFS, where nothing can be preloaded.
"""

import asyncio
import logging
import os
import sys

from tests.faults.play import Begun, Cue, app, outside

from onstage.errors import StoreUnavailable
from onstage.process_handle import ProcessHandle
from onstage.stage import Stage
from onstage.testing.power_vfs import Fault, FaultKind, PowerVFS

KEYS = [f"k{n}" for n in range(12)]


async def emit(stage: Stage, event: object, id: str) -> ProcessHandle:
    """Again and again until it is taken."""
    while True:
        try:
            return await stage.emit(event, id=id)
        except StoreUnavailable:
            await asyncio.sleep(0.05)


async def entered(url: str) -> Stage:
    """Start until it succeeds, as an operator would."""
    while True:
        stage = app.run(url)
        try:
            return await stage.__aenter__()
        except StoreUnavailable as error:
            print("refused", str(error).partition("\n")[0])


async def main(path: str) -> None:
    stage = await entered(f"sqlite:///{path}")
    try:
        for key in KEYS:
            process = await emit(stage, Begun(key), f"begin-{key}")
            assert (await emit(stage, Begun(key), f"begin-{key}")).id == process.id
            await emit(stage, Cue(key), f"cue-{key}")
            verdict = await process.verdict(timeout=20)
            print("verdict", key, verdict.status, verdict.outcome)
    finally:
        await stage.__aexit__(None, None, None)
    print("effects", len(outside.effects), len({effect[1:] for effect in outside.effects}))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    if chosen := os.environ.get("VFS_FAULTS"):
        faults = [Fault(int(number), FaultKind.SYNC_ERROR) for number in chosen.split(",")]
        vfs = PowerVFS("faulty", faults, is_default=True)  # registered for as long as it is held
    asyncio.run(main(sys.argv[1]))
