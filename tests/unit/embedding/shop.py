"""A small app that tests embed, and a PostgreSQL server for them."""

from dataclasses import dataclass

from onstage import App, Process, Service, event, step


@event("embed.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str
    text: str = ""


@event("embed.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


shop = Service("shop")
order = Process("order", starts=Placed, done=Paid)
handled: list[str] = []


@step
def charge(id: str) -> str:
    return id


@shop.on(Placed)
async def take(e: Placed) -> Paid:
    handled.append(e.id)
    return Paid(await charge(e.id))


APP = App(shop, order)
