"""A workshop whose services run apart: `python apart_app.py SERVICE STORE BROKER EFFECTS`, or SERVICE `observer`.

Orders of one key are numbered; each service writes down in its own table, in the commit, what it has handled.
"""

import asyncio
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from onstage import App, Process, Service, event, idempotency_key, step, transaction, wait
from onstage.ports.store import Connection

STAMPED_EVERY = 10
SPOILT_EVERY = 7
SERVICES = ("desk", "mill", "press")


@event("shop.placed", key="key")
@dataclass(frozen=True)
class Placed:
    key: str
    seq: int


@event("shop.accepted", key="key")
@dataclass(frozen=True)
class Accepted:
    key: str
    seq: int


@event("shop.stamped", key="key")
@dataclass(frozen=True)
class Stamped:
    key: str
    seq: int


@event("shop.milled", key="key")
@dataclass(frozen=True)
class Milled:
    key: str
    seq: int


@event("shop.spoilt", key="key")
@dataclass(frozen=True)
class Spoilt:
    key: str
    seq: int


@event("shop.pressed", key="key")
@dataclass(frozen=True)
class Pressed:
    key: str
    seq: int


TABLE = "create table if not exists done (at integer primary key, service text, key text, seq integer)"

desk = Service("desk", tables=TABLE)
mill = Service("mill", tables=TABLE)
press = Service("press", tables=TABLE)


@transaction
def write_down(db: Connection, service: str, key: str, seq: int) -> None:
    db.execute("insert into done (service, key, seq) values (?, ?, ?)", (service, key, seq))


@step(retries=5)
async def turn(key: str, seq: int) -> None:
    handle = os.open(os.environ["APART_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, f"{idempotency_key()} {key} {seq}\n".encode())
    finally:
        os.close(handle)


@desk.on(Placed)
async def accept(e: Placed) -> Accepted:
    await write_down("desk", e.key, e.seq)
    return Accepted(e.key, e.seq)


@mill.on(Accepted)
async def work(e: Accepted) -> Milled | Spoilt:
    """Every tenth piece waits for a stamp of the press, which is somewhere else."""
    if e.seq % STAMPED_EVERY == 0:
        await wait(Stamped, timeout="10m")
    await turn(e.key, e.seq)
    await write_down("mill", e.key, e.seq)
    return Spoilt(e.key, e.seq) if e.seq % SPOILT_EVERY == 0 else Milled(e.key, e.seq)


@press.on(Accepted)
async def stamp(e: Accepted) -> Stamped | None:
    return Stamped(e.key, e.seq) if e.seq % STAMPED_EVERY == 0 else None


@press.on(Milled)
async def squeeze(e: Milled) -> Pressed:
    await write_down("press", e.key, e.seq)
    return Pressed(e.key, e.seq)


piece = Process("piece", starts=Placed, done=Pressed, failed=Spoilt, owner=desk)
app = App(desk, mill, press, piece)


def say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def main(service: str, store: str, broker: str, app: App = app) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if service == "observer":
        from onstage.assembly import observatory_on

        observatory = observatory_on(Path(store), broker)
        await observatory.start()
        say_ready()
        await stop.wait()
        await observatory.close()
        return
    async with app.run(f"sqlite:///{store}", broker=broker, services=[service], synchronous="NORMAL"):
        say_ready()
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    os.environ["APART_EFFECTS"] = sys.argv[4]
    asyncio.run(main(*sys.argv[1:4]))
