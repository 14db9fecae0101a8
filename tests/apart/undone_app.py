"""A workshop whose orders are undone, its services apart: `python undone_app.py SERVICE STORE BROKER EFFECTS`.

Every third order is spoilt by one service, every third is rejected by another, the rest are made. What is done and
undone outside is written down there, with its idempotency key, in the order in which it happens.
"""

import asyncio
import logging
import os
import sys
from dataclasses import dataclass

from tests.apart import apart_app

from onstage import App, Process, Reject, Service, event, idempotency_key, step, wait

STAMPED_EVERY = 2
BEFORE = {  # what must be undone before what, because it was caused by it
    "squeeze": ("grind", "cut", "book"),
    "grind": ("cut", "ink", "book"),
    "cut": ("book",),
    "ink": ("book",),
}


@event("undone.placed", key="key")
@dataclass(frozen=True)
class Placed:
    key: str
    seq: int


@event("undone.accepted", key="key")
@dataclass(frozen=True)
class Accepted:
    key: str
    seq: int


@event("undone.stamped", key="key")
@dataclass(frozen=True)
class Stamped:
    key: str
    seq: int


@event("undone.milled", key="key")
@dataclass(frozen=True)
class Milled:
    key: str
    seq: int


@event("undone.spoilt", key="key")
@dataclass(frozen=True)
class Spoilt:
    key: str
    seq: int


@event("undone.pressed", key="key")
@dataclass(frozen=True)
class Pressed:
    key: str
    seq: int


desk, mill, press = Service("desk"), Service("mill"), Service("press")


def write(word: str, what: str, key: str) -> None:
    """Tell the world outside."""
    handle = os.open(os.environ["APART_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, f"{word} {what} {key} {idempotency_key()}\n".encode())
    finally:
        os.close(handle)


async def take_back(result: str, what: str, key: str) -> None:
    """The undo of `make`."""
    await asyncio.sleep(0.02)
    write("undo", what, key)


@step(undo=take_back, retries=5)
async def make(what: str, key: str) -> str:
    """Something done outside; a process may be killed while it lasts."""
    await asyncio.sleep(0.02)
    write("do", what, key)
    await asyncio.sleep(0.02)
    return what


@step
async def say_sorry(key: str) -> None:
    write("do", "sorry", key)


@desk.on(Placed)
async def accept(e: Placed) -> Accepted:
    await make("book", e.key)
    return Accepted(e.key, e.seq)


@mill.on(Accepted)
async def work(e: Accepted) -> Milled | Spoilt:
    """Every second piece waits for a stamp of the press."""
    await make("cut", e.key)
    if e.seq % STAMPED_EVERY == 0:
        await wait(Stamped, timeout="10m")
        await make("grind", e.key)
    return Spoilt(e.key, e.seq) if e.seq % 3 == 0 else Milled(e.key, e.seq)


@press.on(Accepted)
async def stamp(e: Accepted) -> Stamped | None:
    await make("ink", e.key)
    return Stamped(e.key, e.seq) if e.seq % STAMPED_EVERY == 0 else None


@press.on(Milled)
async def squeeze(e: Milled) -> Pressed:
    await make("squeeze", e.key)
    if e.seq % 3 == 1:
        raise Reject("it broke")
    return Pressed(e.key, e.seq)


@desk.on(Spoilt)
async def apologise(e: Spoilt) -> None:
    """Follows from the outcome that decides: nobody undoes it."""
    await say_sorry(e.key)


piece = Process("piece", starts=Placed, done=Pressed, failed=Spoilt, owner=desk, undo=True)
app = App(desk, mill, press, piece)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    os.environ["APART_EFFECTS"] = sys.argv[4]
    asyncio.run(apart_app.main(*sys.argv[1:4], app))
