"""Events, steps and transactions that misbehave, for the tests of awkward moments."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from onstage import App, Reject, Service, event, idempotency_key, step, transaction
from onstage.ports.store import Connection
from onstage.testing import Sim


@event("attack.begun", key="key")
@dataclass(frozen=True)
class Begun:
    key: str
    n: int = 0


@event("attack.cue", key="key")
@dataclass(frozen=True)
class Cue:
    key: str
    n: int = 0


@event("attack.ended", key="key")
@dataclass(frozen=True)
class Ended:
    key: str
    text: str = ""


did: list[str] = []
keys: list[str] = []
running: dict[str, int] = {}
overlaps: list[str] = []


@step(retries=2)
async def quick(key: str, n: int) -> int:
    did.append(f"quick {key}{n}")
    return n


@step
async def broken(key: str) -> None:
    did.append("broken")
    raise ConnectionError("no line")


@step
async def slow(key: str, seconds: float) -> str:
    running[key] = running.get(key, 0) + 1
    if running[key] > 1:
        overlaps.append(key)
    await asyncio.sleep(seconds)
    running[key] -= 1
    did.append("slow")
    keys.append(idempotency_key())
    return "slow"


async def unset(result: str, key: str, seconds: float) -> None:
    did.append("unset")


@step(undo=unset)
async def set_slowly(key: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    did.append("set")
    return key


@step
async def refuse(key: str) -> None:
    raise Reject("no audience")


TABLES = """
    create table if not exists parent (id integer primary key);
    create table if not exists child (id integer references parent (id) deferrable initially deferred);
"""


@transaction
def orphan(db: Connection, key: str) -> None:
    """A constraint that is checked at the very end of the batch."""
    db.execute("insert into child values (77)")


@transaction
def refused(db: Connection, key: str) -> None:
    db.execute("insert into parent values (5)")
    raise ValueError("not today")


def one(handler: Callable[[Any], Awaitable[Any]], **options: Any) -> App:
    house = Service("house", tables=TABLES)
    declare: Any = house.on(Begun, **options)
    declare(handler)
    return App(house)


def played(scene: Callable[[Sim], Awaitable[None]], app: App) -> None:
    async def main() -> None:
        async with Sim(app, seed=7) as sim:
            await scene(sim)

    asyncio.run(main())


async def first_process(reader: Any) -> str:
    rows = await reader.processes(limit=10)
    wire: str = rows[-1].wire_id
    return wire
