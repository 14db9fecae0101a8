"""The world outside the shop: a bank, a courier, a stage agency and a mail server, all made of cardboard.

Each effect appends one JSON line to the file named by SHOP_WORLD, so that anybody can check afterwards what really
happened, without asking Onstage. The line carries the idempotency key, by which a real bank would recognise a
request that is made again after a crash.
"""

import json
import os
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from onstage import idempotency_key

QUIET_CITIES = {"Bayreuth", "Salzburg"}
UNREACHED_CITIES = {"Athens"}


class CardDeclined(Exception):
    """The bank says no. Asking again does not help."""


class NoRoute(Exception):
    """The courier does not go there, today or ever."""


class BankUnreachable(Exception):
    """The line to the bank is dead, as it is while SHOP_BANK says so."""


def happened(effect: str, order_id: str, result: str = "") -> None:
    """Write down that something happened in the world; one write, so that parallel lines do not mix."""
    path = os.environ.get("SHOP_WORLD")
    if not path:
        return
    line = {"effect": effect, "order": order_id, "key": idempotency_key(), "result": result}
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, json.dumps(line).encode() + b"\n")
    finally:
        os.close(handle)


def lot(order_id: str) -> int:
    """Return a number from 0 to 99 that is always the same for one order."""
    return zlib.crc32(order_id.encode()) % 100


class Bank:
    async def charge(self, order_id: str, card: str, cents: int) -> str:
        if os.environ.get("SHOP_BANK") == "unreachable":
            raise BankUnreachable("nobody answers at the bank")
        if card.startswith("declined"):
            raise CardDeclined(f"the bank declines {card}")
        charge_id = f"charge-{order_id}"
        happened("charge", order_id, f"{charge_id} {cents / 100:.2f} EUR")
        return charge_id

    async def refund(self, charge_id: str, order_id: str) -> None:
        happened("refund", order_id, charge_id)


class Bench:
    async def wrap(self, order_id: str) -> str:
        happened("wrap", order_id)
        return f"paper-{order_id}"

    async def unwrap(self, paper: str, order_id: str) -> None:
        happened("unwrap", order_id, paper)


@dataclass
class Courier:
    """Its line is busy for one order in ten, at the first call."""

    called: set[str] = field(default_factory=set[str])

    def route(self, city: str) -> str:
        if city in UNREACHED_CITIES:
            raise NoRoute(f"no courier goes to {city}")
        return f"the road to {city}"

    async def collect(self, order_id: str, city: str) -> str:
        if lot(order_id) < 10 and order_id not in self.called:
            self.called.add(order_id)
            raise ConnectionError("the courier's line is busy")
        parcel = f"parcel-{order_id}"
        happened("collect", order_id, f"{parcel} to {city}")
        return parcel

    def print_label(self, parcel: str, order_id: str) -> None:
        """Talk to an old label printer, whose driver knows nothing of asyncio."""
        happened("label", order_id, parcel)


class Agency:
    async def book(self, artist: str, order_id: str) -> str:
        booking = f"{artist}-{order_id}"
        happened(f"book {artist}", order_id, booking)
        return booking

    async def dismiss(self, artist: str, order_id: str, booking: str) -> None:
        happened(f"dismiss {artist}", order_id, booking)


class MailServer:
    async def send(self, order_id: str, text: str) -> None:
        happened("mail", order_id, text)


@asynccontextmanager
async def bank() -> AsyncGenerator[Bank, None]:
    yield Bank()


@asynccontextmanager
async def bench() -> AsyncGenerator[Bench, None]:
    yield Bench()


@asynccontextmanager
async def courier() -> AsyncGenerator[Courier, None]:
    yield Courier()


@asynccontextmanager
async def mail_and_agency() -> AsyncGenerator[tuple[MailServer, Agency], None]:
    yield MailServer(), Agency()
