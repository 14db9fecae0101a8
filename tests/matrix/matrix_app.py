"""What is played while a node dies: two lanes, a chain, a timer, a wait, transactions, a retry, an undo, two doors."""

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

from onstage import (
    App,
    Process,
    Reject,
    Retry,
    Service,
    connect,
    event,
    idempotency_key,
    sleep,
    step,
    transaction,
    wait,
)
from onstage.ports.store import Connection
from onstage.stage import Stage

LANES = {"a": (1, 2, 3), "b": (4, 5)}
REMOTE = {"c": (6, 7)}
REFUSED = 5
FAILS_ONCE = 2
ORDERS = sorted(seq for orders in (LANES | REMOTE).values() for seq in orders)
LONG = timedelta(seconds=10)
QUICK = Retry(attempts=8, first="4ms", most="10ms")


@event("matrix.ordered", key="key")
@dataclass(frozen=True)
class Ordered:
    key: str
    seq: int


@event("matrix.confirmed", key="key")
@dataclass(frozen=True)
class Confirmed:
    key: str
    seq: int


@event("matrix.worked", key="key")
@dataclass(frozen=True)
class Worked:
    key: str
    seq: int
    token: str


@event("matrix.rested", key="key")
@dataclass(frozen=True)
class Rested:
    key: str
    seq: int
    token: str


class Ledger:
    """A file that only grows, outside the store: what happened, as somebody saw it who cannot be rolled back."""

    def __init__(self) -> None:
        self.path = Path("unset")
        self._numbers = count()

    def note(self, *words: object) -> None:
        """One line, in one write."""
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, (" ".join(map(str, words)) + "\n").encode())
        finally:
            os.close(handle)

    def effect(self, what: str, seq: int) -> str:
        """Something happens outside; answers a token that no other performance of it has."""
        token = f"{os.getpid()}-{next(self._numbers)}"
        self.note("effect", idempotency_key(), what, seq, token)
        return token

    def lines(self) -> list[list[str]]:
        """All lines, as words."""
        return [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []


ledger = Ledger()


@step(retry=QUICK)
async def tool(seq: int) -> str:
    first = not any(line[0] == "effect" and line[2:4] == ["tool", str(seq)] for line in ledger.lines())
    token = ledger.effect("tool", seq)
    await asyncio.sleep(0)
    if seq == FAILS_ONCE and first:
        raise ConnectionError("the first attempt fails")
    return token


@step(retry=QUICK)
def machine(seq: int) -> str:
    return ledger.effect("machine", seq)


async def give_back(token: str, seq: int) -> None:
    ledger.effect("give-back", seq)


@step(retry=QUICK, undo=give_back)
async def take(seq: int) -> str:
    return ledger.effect("take", seq)


@transaction
def enter(db: Connection, handler: str, key: str, seq: int, token: str) -> None:
    db.execute("insert into matrix_ledger (handler, key, seq, token) values (?, ?, ?, ?)", (handler, key, seq, token))


TABLES = "create table if not exists matrix_ledger (id integer primary key, handler text, key text, seq, token text)"
factory = Service("factory", tables=TABLES)
office = Service("office", tables=TABLES)


@factory.on(Ordered, retry=QUICK)
async def work(e: Ordered) -> tuple[Worked, Confirmed]:
    token = await tool(e.seq)
    await enter("work", e.key, e.seq, token)
    if e.seq == REFUSED:
        await take(e.seq)
        raise Reject("nobody wants it")
    return Worked(e.key, e.seq, token), Confirmed(e.key, e.seq)


@factory.on(Worked, lane="until-wait", retry=QUICK)
async def rest(e: Worked) -> Rested:
    await sleep(timedelta(milliseconds=5))
    token = await machine(e.seq)
    await enter("rest", e.key, e.seq, token)
    return Rested(e.key, e.seq, e.token)


@office.on(Ordered, concurrency=100, retry=QUICK)
async def file(e: Ordered) -> None:
    if e.seq != REFUSED:
        confirmed = await wait(Confirmed)
        assert confirmed.seq == e.seq
    await enter("file", e.key, e.seq, "")


job = Process("job", starts=Ordered, done=Rested, owner=factory, undo=False)
app = App(factory, office, job)


async def send(stage: Stage, key: str, orders: tuple[int, ...]) -> None:
    """A client: one order after the other, each until it is accepted; the last accepted one is sent once more."""
    accepted = {int(line[1]): line[2] for line in ledger.lines() if line[0] == "accepted"}
    known = [seq for seq in orders if seq in accepted]
    for seq in (*known[-1:], *(seq for seq in orders if seq not in accepted)):
        process = await stage.emit(Ordered(key, seq), id=f"order-{seq}")
        ledger.note("accepted", seq, process.id)


async def judge(stage: Stage) -> None:
    """Wait until every process has ended, and note what was said of it."""
    accepted = {line[1]: line[2] for line in ledger.lines() if line[0] == "accepted"}
    for seq, process in accepted.items():
        verdict = await (await stage.process(process)).verdict(timeout=LONG)
        assert verdict.is_final, f"order {seq}: {verdict}"
        ledger.note("verdict", seq, process, verdict.status)


async def play(store: Path) -> None:
    """One life: start, send what is not accepted yet, wait for the end of everything, stop."""
    async with app.run(f"sqlite:///{store}", synchronous="NORMAL") as stage:
        async with connect(f"sqlite:///{store}", app) as client, asyncio.TaskGroup() as senders:
            for key, orders in LANES.items():
                senders.create_task(send(stage, key, orders))
            for key, orders in REMOTE.items():
                senders.create_task(send(client, key, orders))
        await judge(stage)
    ledger.note("ended")
