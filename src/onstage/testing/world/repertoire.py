"""What is played in every world: events, steps and handlers that use everything that is built, in three versions.

Each handler that counts writes a row of the table `effect` in a transaction of its own: the ledger of effects.
Version 1 and 2 have other bytecode and the same durable calls; version 3 makes them in another order in one handler,
so that it and the others cannot go on with each other's open executions of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from typing import Final

from onstage.app import App
from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.errors import Reject, StepFailed
from onstage.events.envelope import Envelope
from onstage.events.event import event
from onstage.ports.store import Connection
from onstage.runtime.calls import emit, idempotency_key, now, random, sleep, uuid, wait
from onstage.runtime.step import step, transaction
from onstage.testing.world.outside import OUTSIDE

__all__ = ["TABLES", "Approved", "Blob", "Fan", "Napped", "Noted", "Ordered", "Ticked", "Travelled", "Walked", "app_of"]

TABLES: Final = "create table if not exists effect (id integer primary key, event text, handler text, place text)"
SOON: Final = Retry(3, first="50ms", most="1s")


@event("world.walked", key="key")
@dataclass(frozen=True)
class Walked:
    """A hop of a chain of `left` more."""

    key: str
    n: int
    left: int


@event("world.fan", key="key")
@dataclass(frozen=True)
class Fan:
    """Becomes `width` leaves."""

    key: str
    n: int
    width: int


@event("world.leaf.fallen", key="key")
@dataclass(frozen=True)
class Leaf:
    """One of many."""

    key: str
    n: int


@event("world.ordered", key="key")
@dataclass(frozen=True)
class Ordered:
    """Begins an order, a declared process. With `n` % 4 == 3 it is rejected."""

    key: str
    n: int


@event("world.approved", key="key")
@dataclass(frozen=True)
class Approved:
    """Comes from outside, perhaps before anybody waits, perhaps after."""

    key: str
    n: int


@event("world.progressed", key="key")
@dataclass(frozen=True)
class Progressed:
    """Emitted in the middle of an order."""

    key: str
    n: int


@event("world.delivered", key="key")
@dataclass(frozen=True)
class Delivered:
    """An order went well."""

    key: str


@event("world.cancelled", key="key")
@dataclass(frozen=True)
class Cancelled:
    """An order did not."""

    key: str


@event("world.travelled", key="key")
@dataclass(frozen=True)
class Travelled:
    """Steps side by side, values, and the handler that diverges."""

    key: str
    n: int


@event("world.ticked", key="key")
@dataclass(frozen=True)
class Ticked:
    """For the lanes: `n` grows with the log for each key."""

    key: str
    n: int


@event("world.napped", key="key")
@dataclass(frozen=True)
class Napped:
    """Sleeps for `seconds`."""

    key: str
    n: int
    seconds: float


@event("world.noted", key="key")
@dataclass(frozen=True)
class Noted:
    """Outside input, also into finished processes."""

    key: str
    n: int


@event("world.blob", key="key")
@dataclass(frozen=True)
class Blob:
    """As large as may be."""

    key: str
    text: str


@transaction
def book(db: Connection, place: str) -> int:
    """Write one row of the ledger of effects; answers how many there are."""
    public, handler, _ = idempotency_key().split("/", 2)
    db.execute("insert into effect (event, handler, place) values (?, ?, ?)", (public, handler, place))
    OUTSIDE.refuse()
    return next(iter(db.execute("select count(*) from effect")))[0]  # type: ignore[no-any-return]


async def refund(_: str, key: str) -> None:
    """Undo `charge`."""
    await OUTSIDE.act("refund", key)


@step(retry=Retry(4, first="50ms", most="2s"), timeout="2s", undo=refund)
async def charge(key: str) -> str:
    """Can be undone, and times out."""
    return await OUTSIDE.act("charge", key)


@step(retry=SOON)
def pack(key: str) -> str:
    """Synchronous."""
    return OUTSIDE.act_now("pack", key)


@step(retry=SOON)
async def drive(key: str, n: int) -> str:
    """Side by side with others."""
    return await OUTSIDE.act("drive", f"{key}/{n}")


@step(retry=Retry(2, first="50ms", most="1s"))
async def touch(key: str, n: int) -> str:
    """In lanes."""
    return await OUTSIDE.act("touch", f"{key}/{n}")


def _chains(road: Service) -> None:
    @road.on(Walked, retry=SOON)
    async def walk(e: Walked) -> Walked | None:
        OUTSIDE.stumble()
        if e.left % 2 == 0:
            await book("walk")
        return Walked(e.key, e.n, e.left - 1) if e.left else None

    @road.on(Fan)
    async def spread(e: Fan) -> tuple[Leaf, ...]:
        return tuple(Leaf(e.key, 100 * e.n + place) for place in range(e.width))

    @road.on(Leaf, retry=SOON)
    async def left(_: Leaf) -> None:
        await book("left")

    @road.on(Leaf, name="right", key="n", retry=SOON)
    async def right(e: Leaf) -> None:
        OUTSIDE.stumble()
        await pack(e.key)

    @road.on("world.leaf.*", name="audit")
    async def audit(_: Envelope) -> None:
        return None

    @road.on(Blob)
    async def swallow(_: Blob) -> None:
        await book("swallow")


def _orders(shop: Service) -> None:
    @shop.on(Ordered, retry=SOON)
    async def order(e: Ordered) -> Progressed | Delivered | Cancelled:
        await charge(e.key)
        await book("order")
        OUTSIDE.stumble()
        await emit(Progressed(e.key, e.n))
        if e.n % 4 == 3:
            await charge(f"{e.key}/again")
            raise Reject("no more of these")
        try:
            await wait(Approved, timeout="90s")
        except TimeoutError:
            return Cancelled(e.key)
        await pack(e.key)
        return Delivered(e.key)

    @shop.on(Progressed, gating=False)
    async def tell(_: Progressed) -> None:
        try:
            await book("tell")
        except StepFailed:
            await book("tell")

    @shop.on(Noted)
    async def note(_: Noted) -> None:
        await book("note")
        OUTSIDE.stumble()


def _lanes(rail: Service) -> None:
    @rail.on(Ticked, retry=Retry(2, first="50ms", most="1s"))
    async def block(e: Ticked) -> None:
        OUTSIDE.stumble()
        await touch(e.key, e.n)
        await book("block")

    @rail.on(Ticked, name="park", retry=Retry(1), on_failure="park")
    async def park(e: Ticked) -> None:
        await touch(e.key, e.n)
        await book("park")

    @rail.on(Ticked, name="until_wait", lane="until-wait", retry=Retry(5, first="50ms", most="1s"))
    async def until_wait(_: Ticked) -> None:
        await book("before")
        await sleep("20s")
        await book("after")

    @rail.on(Napped)
    async def nap(e: Napped) -> None:
        await sleep(e.seconds)
        await book("nap")


async def travel_1(e: Travelled) -> Noted | None:
    """Version 1."""
    began = now()
    lucky = random() < 0.5
    OUTSIDE.stumble()
    await OUTSIDE.together(drive(e.key, 0), drive(e.key, 1), pack(e.key), book("travel"))
    await sleep("5s")
    await touch(str(uuid()), began.astimezone(UTC).second)
    return Noted(e.key, e.n) if lucky else None


async def travel_2(e: Travelled) -> Noted | None:
    """Version 2: other code, the same durable calls."""
    began, lucky = now(), random() < 0.5
    calls = [drive(e.key, n) for n in range(2)]
    await asyncio.gather(*calls, pack(e.key), book("travel"))
    await sleep("5s")
    await touch(str(uuid()), began.astimezone(UTC).second)
    return Noted(e.key, e.n) if lucky else None


async def travel_3(e: Travelled) -> Noted | None:
    """Version 3: other durable calls."""
    lucky, began = random() < 0.5, now()
    await book("travel")
    await drive(e.key, 0)
    await sleep("5s")
    await touch(str(uuid()), began.astimezone(UTC).second)
    return Noted(e.key, e.n) if lucky else None


@cache
def app_of(version: int) -> App:
    """The application in one of its versions, 1 to 3."""
    road, shop, rail = (Service(name, tables=TABLES) for name in ("road", "shop", "rail"))
    _chains(road)
    _orders(shop)
    _lanes(rail)
    road.on(Travelled, name="travel", retry=SOON)((travel_1, travel_2, travel_3)[version - 1])
    process = Process("order", starts=Ordered, done=Delivered, failed=[Cancelled], external=[Approved], undo=False)
    return App(road, shop, rail, process)
