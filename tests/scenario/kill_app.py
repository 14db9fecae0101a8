"""The application that `test_kill.py` kills: `python kill_app.py STORE EFFECTS` runs a node of it.

Every effect outside appends one line to the file EFFECTS; every handler writes one row per event into its own table.
"""

import asyncio
import logging
import os
import signal
import sys
from dataclasses import dataclass

from onstage import App, Process, Service, event, idempotency_key, sleep, step, transaction, wait
from onstage.ports.store import Connection

EFFECTS = os.environ.get("KILL_EFFECTS", "")


@event("kill.ordered", key="key")
@dataclass(frozen=True)
class Ordered:
    key: str
    seq: int


@event("kill.confirmed", key="key")
@dataclass(frozen=True)
class Confirmed:
    key: str
    seq: int


@event("kill.worked", key="key")
@dataclass(frozen=True)
class Worked:
    key: str
    seq: int


@event("kill.rested", key="key")
@dataclass(frozen=True)
class Rested:
    key: str
    seq: int


def happened(effect: str) -> None:
    """One line, in one write: what happened outside, and under which idempotency key."""
    handle = os.open(EFFECTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, f"{idempotency_key()} {effect}\n".encode())
    finally:
        os.close(handle)


@step(retries=3)
async def tool(seq: int) -> int:
    happened("tool")
    await asyncio.sleep(0.002)
    return seq


@step(retries=3)
def machine(seq: int) -> int:
    happened("machine")
    return seq


@transaction
def enter(db: Connection, handler: str, key: str, seq: int) -> None:
    db.execute("insert into ledger (handler, key, seq) values (?, ?, ?)", (handler, key, seq))


TABLES = "create table if not exists ledger (id integer primary key, handler text, key text, seq integer)"
factory = Service("factory", tables=TABLES)
office = Service("office", tables=TABLES)


@factory.on(Ordered)
async def work(e: Ordered) -> tuple[Worked, Confirmed]:
    await tool(e.seq)
    await enter("work", e.key, e.seq)
    if e.seq % 4 == 0:
        await machine(e.seq)
    return Worked(e.key, e.seq), Confirmed(e.key, e.seq)


@factory.on(Worked, lane="until-wait", concurrency=1000)
async def rest(e: Worked) -> Rested:
    await sleep("1s")
    await tool(e.seq)
    await enter("rest", e.key, e.seq)
    return Rested(e.key, e.seq)


@office.on(Ordered, concurrency=1000)
async def file(e: Ordered) -> None:
    confirmed = await wait(Confirmed)
    assert confirmed.seq == e.seq
    await enter("file", e.key, e.seq)


job = Process("job", starts=Ordered, done=Rested, owner=factory)
app = App(factory, office, job)


async def main(store: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.run(f"sqlite:///{store}", synchronous="NORMAL"):
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    EFFECTS = sys.argv[2]
    asyncio.run(main(sys.argv[1]))
