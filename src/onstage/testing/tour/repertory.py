"""The play of a tour: four services, each on a node of its own, that use what crosses the border between two stores.

Each handler writes a row of the table `effect` in a transaction of its own, in the store of its service.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from onstage.app import App
from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.errors import WillNeverHappen
from onstage.events.envelope import Envelope
from onstage.events.event import event
from onstage.ports.store import Connection
from onstage.runtime.calls import emit, idempotency_key, wait
from onstage.runtime.step import step, transaction
from onstage.testing.world.outside import OUTSIDE
from onstage.verdicts import ProcessCompleted

__all__ = ["OBSERVER", "SERVICES", "Allowed", "Booked", "Rang", "tour_app"]

SERVICES: Final = ("shop", "bank", "post", "audit")
OBSERVER: Final = "observer"
TABLES: Final = "create table if not exists effect (id integer primary key, event text, handler text, place text)"
PATIENT: Final = Retry(40, first="50ms", most="2s")


@event("tour.booked", key="key")
@dataclass(frozen=True)
class Booked:
    """Begins an order, a declared process of `shop`. With `n` % 3 == 1 it waits for an `Allowed` from outside."""

    key: str
    n: int


@event("tour.parted", key="key")
@dataclass(frozen=True)
class Parted:
    """One of two parts of an order."""

    key: str
    n: int
    part: int


@event("tour.packed", key="key")
@dataclass(frozen=True)
class Packed:
    """A part is ready; `shop` waits for both."""

    key: str
    n: int
    part: int


@event("tour.allowed", key="key")
@dataclass(frozen=True)
class Allowed:
    """Comes from outside, perhaps before anybody waits, perhaps after."""

    key: str
    n: int


@event("tour.shipped", key="key")
@dataclass(frozen=True)
class Shipped:
    """An order went well."""

    key: str
    n: int


@event("tour.cancelled", key="key")
@dataclass(frozen=True)
class Cancelled:
    """An order did not."""

    key: str
    n: int


@event("tour.noted", key="key")
@dataclass(frozen=True)
class Noted:
    """Emitted by a handler that does not gate: it begins a process of its own."""

    key: str
    n: int


@event("tour.rang", key="key")
@dataclass(frozen=True)
class Rang:
    """For the order per key: comes from outside, at any node, and `n` grows there with the log for each key."""

    key: str
    n: int


@event("tour.echoed", key="key")
@dataclass(frozen=True)
class Echoed:
    """The same, one node further."""

    key: str
    n: int


@transaction
def book(db: Connection, place: str) -> None:
    """Write one row of the ledger of effects."""
    public, handler, _ = idempotency_key().split("/", 2)
    db.execute("insert into effect (event, handler, place) values (?, ?, ?)", (public, handler, place))


@step(retry=PATIENT)
async def touch(key: str) -> str:
    """What lies outside."""
    return await OUTSIDE.act("touch", key)


def _orders(shop: Service, bank: Service, post: Service) -> None:
    @shop.on(Booked, retry=PATIENT)
    async def order(e: Booked) -> Parted | Shipped | Cancelled:
        await touch(e.key)
        await book("order")
        for part in range(2):
            await emit(Parted(e.key, e.n, part))
        OUTSIDE.stumble()
        for _ in range(2):
            await wait(Packed)
        if e.n % 3 == 1:
            try:
                await wait(Allowed, timeout="20s")
            except TimeoutError:
                return Cancelled(e.key, e.n)
        return Shipped(e.key, e.n)

    @post.on(Parted, retry=PATIENT)
    async def pack(e: Parted) -> Packed:
        await touch(e.key)
        await book("pack")
        OUTSIDE.stumble()
        return Packed(e.key, e.n, e.part)

    @bank.on(Parted, retry=PATIENT)
    async def weigh(_: Parted) -> None:
        OUTSIDE.stumble()
        await book("weigh")

    @bank.on(Shipped, Cancelled, retry=PATIENT)
    async def bill(_: Shipped | Cancelled) -> None:
        await book("bill")


def _bells(shop: Service, bank: Service, post: Service) -> None:
    @shop.on(Rang, name="echo", retry=PATIENT)
    async def echo(e: Rang) -> Echoed:
        await book("echo")
        OUTSIDE.stumble()
        return Echoed(e.key, e.n)

    @post.on(Rang, Echoed, name="hear", retry=PATIENT)
    async def hear(e: Rang | Echoed) -> None:
        await touch(e.key)
        await book("hear")

    @bank.on(Echoed, name="count", retry=PATIENT)
    async def count(_: Echoed) -> None:
        await book("count")


def _aside(bank: Service, audit: Service) -> None:
    @audit.on("tour.*", name="watch", gating=False, retry=PATIENT)
    async def watch(_: Envelope) -> None:
        await book("watch")

    @audit.on(Shipped, name="note", gating=False, retry=PATIENT)
    async def note(e: Shipped) -> Noted:
        await book("note")
        return Noted(e.key, e.n)

    @audit.on(ProcessCompleted, name="heed", retry=PATIENT)
    async def heed(_: ProcessCompleted) -> None:
        await book("heed")

    @audit.on(Booked, name="hope", retry=PATIENT)
    async def hope(e: Booked) -> None:
        with suppress(WillNeverHappen):
            if e.n % 5 == 2:
                await wait(Noted)  # it begins a process of its own, so it never comes into this one
        await book("hope")

    @bank.on(Noted, name="file_note", retry=PATIENT)
    async def file_note(_: Noted) -> None:
        await book("file")


@cache
def tour_app() -> App:
    """The application; a node hosts one of its services."""
    shop, bank, post, audit = (Service(name, tables=TABLES) for name in SERVICES)
    _orders(shop, bank, post)
    _bells(shop, bank, post)
    _aside(bank, audit)
    process = Process("order", starts=Booked, done=Shipped, failed=[Cancelled], external=[Allowed], owner=shop)
    return App(shop, bank, post, audit, process)
