"""A shop of which something is expected, and which breaks each rule when told to."""

from dataclasses import dataclass

from onstage import App, Process, Service, emit, event, wait
from onstage.expectations import at_most_once, before, every, expect, never_both
from onstage.verdicts import ProcessViolated


@event("order-placed", key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    way: str = "well"


@event("approved", key="order_id")
@dataclass(frozen=True)
class Approved:
    order_id: str


@event("order-paid", key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str
    way: str


@event("order-shipped", key="order_id")
@dataclass(frozen=True)
class OrderShipped:
    order_id: str


@event("order-cancelled", key="order_id")
@dataclass(frozen=True)
class OrderCancelled:
    order_id: str


@event("alert-sent")
@dataclass(frozen=True)
class AlertSent:
    rule: str
    number: int
    key: str


payment = Service("payment")
shipping = Service("shipping")
alerts = Service("alerts")


@payment.on(OrderPlaced)
async def take(e: OrderPlaced) -> OrderPaid | OrderShipped | None:
    if e.way == "needs approval":
        await wait(Approved)
    if e.way == "ships unpaid":
        return OrderShipped(e.order_id)
    if e.way == "forgotten":
        return None
    if e.way == "pays twice":
        await emit(OrderPaid(e.order_id, "well"))
    return OrderPaid(e.order_id, e.way)


@shipping.on(OrderPaid)
async def ship(e: OrderPaid) -> OrderShipped | OrderCancelled:
    if e.way == "both":
        await emit(OrderCancelled(e.order_id))
    return OrderShipped(e.order_id)


@alerts.on(ProcessViolated)
async def tell(e: ProcessViolated) -> AlertSent:
    return AlertSent(e.rule, e.number, e.key or "")


order = Process("order", starts=OrderPlaced, done=OrderShipped, failed=OrderCancelled)

LEADS = every(OrderPlaced).leads_to(OrderShipped, OrderCancelled, within="3h")
BEFORE = before(OrderPaid, OrderShipped)
NEVER = never_both(OrderShipped, OrderCancelled)
ONCE = at_most_once(OrderPaid)

shop = App(payment, shipping, alerts, order, expect("order", LEADS, BEFORE, NEVER, ONCE))
