"""Applications to measure: chains of handlers, one-step handlers, ten steps, waits."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

import onstage
from onstage import App, Process, Service, event, step, wait

PAYLOAD = {
    "customer": "c-1234567",
    "sku": "sku-9876",
    "quantity": 1,
    "amount": 1999,
    "currency": "EUR",
    "address": "12 Example Street, 10115 Berlin",
    "note": "x" * 40,
}


def make_event(name: str) -> type[Any]:
    """An event class with a payload of about 220 bytes."""
    fields = [
        ("order_id", str), ("customer", str), ("sku", str), ("quantity", int),
        ("amount", int), ("currency", str), ("address", str), ("note", str),
    ]  # fmt: skip
    return event(f"bench.{name}", key="order_id")(msgspec.defstruct(name.title().replace("-", ""), fields, frozen=True))


def chain(hops: int, *, extra_handlers: int = 0) -> tuple[App, type[Any]]:
    """A process of `hops` handlers, each emitting the next event; and handlers of other events beside it."""
    types = [make_event(f"hop-{place}") for place in range(hops + 1)]
    service = Service("chain")
    for here, following in itertools.pairwise(types):
        _hop(service, here, following)
    beside = Service("beside")
    for place in range(extra_handlers):
        cls = make_event(f"other-{place}")
        _hop(beside, cls, cls)
    process = Process("chain", starts=types[0], done=types[-1])
    return App(service, beside, process), types[0]


def _hop(service: Service, here: type[Any], following: type[Any]) -> None:
    async def hop(e: Any) -> Any:
        return following(e.order_id, e.customer, e.sku, e.quantity + 1, e.amount, e.currency, e.address, e.note)

    hop.__name__ = f"on_{here.__name__.lower()}"
    hop.__annotations__ = {"e": here, "return": following}
    service.on(here, concurrency=10_000)(hop)


@step
async def charge(order_id: str, place: int) -> str:
    """An effect that takes no time."""
    return f"ch-{order_id}-{place}"


def stepping(steps: int) -> tuple[App, type[Any]]:
    """One handler that makes `steps` steps, one after the other."""
    placed, paid = make_event("placed"), make_event("paid")
    service = Service("pay")

    @service.on(placed, concurrency=10_000, emits=[paid])
    async def pay(e: Any):  # noqa: ANN202  emits= declares it
        for place in range(steps):
            await charge(e.order_id, place)
        return paid(e.order_id, e.customer, e.sku, e.quantity, e.amount, e.currency, e.address, e.note)

    return App(service, Process("pay", starts=placed, done=paid)), placed


def waiting() -> tuple[App, type[Any], type[Any]]:
    """One handler that waits for an approval."""
    placed, approved, shipped = make_event("ordered"), make_event("approved"), make_event("shipped")
    service = Service("ship")

    @service.on(placed, concurrency=10_000, emits=[shipped], waits=[approved])
    async def ship(e: Any):  # noqa: ANN202  emits= declares it
        await wait(approved)
        return shipped(e.order_id, e.customer, e.sku, e.quantity, e.amount, e.currency, e.address, e.note)

    return App(service, Process("ship", starts=placed, done=shipped, external=[approved])), placed, approved


def make(cls: type[Any], number: int) -> Any:
    """One event of a class made by `make_event`."""
    return cls(order_id=f"o-{number:06d}", **PAYLOAD)


__all__ = ["chain", "charge", "make", "onstage", "stepping", "waiting"]
