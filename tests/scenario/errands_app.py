"""Two services apart: `python errands_app.py SERVICE STORE BROKER EFFECTS`. The desk starts work at the mill."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass

from onstage import App, Request, Service, event, idempotency_key, sleep, start, step


@event("mill.get-price", key="sku")
@dataclass(frozen=True)
class GetPrice(Request[int]):
    sku: str


desk, mill = Service("desk"), Service("mill")


@step(retries=9)
async def touch(what: str) -> None:
    handle = os.open(os.environ["ERRANDS_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, f"{idempotency_key()} {what}\n".encode())
    finally:
        os.close(handle)


@mill.answers
async def price(q: GetPrice) -> int:
    await touch(q.sku)
    return len(q.sku)


@mill.workflow
async def grind(name: str) -> str:
    await touch(name)
    if name.startswith("long"):
        await sleep("30m")
    return f"{name} is ground"


@desk.workflow
async def order(name: str) -> str:
    return await start(grind, f"long-{name}")


app = App(desk, mill)


async def main(service: str, store: str, broker: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.run(f"sqlite:///{store}", broker=broker, services=[service], synchronous="NORMAL"):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    os.environ["ERRANDS_EFFECTS"] = sys.argv[4]
    asyncio.run(main(*sys.argv[1:4]))
