"""A shop whose process has milestones and a deadline, and somebody who is told what becomes of it."""

from dataclasses import dataclass

from onstage import App, Process, Service, event, step, wait
from onstage.verdicts import (
    ProcessCompleted,
    ProcessDeadEnd,
    ProcessOverdue,
    ProcessReopened,
    ProcessStuck,
)

TOLD = (ProcessCompleted, ProcessDeadEnd, ProcessOverdue, ProcessReopened, ProcessStuck)


@event("order-placed", key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    way: str = "by itself"


@event("approved", key="order_id")
@dataclass(frozen=True)
class Approved:
    order_id: str


@event("order-paid", key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str


@event("order-shipped", key="order_id")
@dataclass(frozen=True)
class OrderShipped:
    order_id: str


@event("order-cancelled", key="order_id")
@dataclass(frozen=True)
class OrderCancelled:
    order_id: str


@event("order-noted", key="order_id")
@dataclass(frozen=True)
class OrderNoted:
    order_id: str


@event("alert-sent")
@dataclass(frozen=True)
class AlertSent:
    kind: str
    number: int
    reason: str


payment, shipping, alerts = Service("payment"), Service("shipping"), Service("alerts")


@step
async def charge(order_id: str) -> None: ...


@step
async def alarm(kind: str) -> None: ...


@payment.on(OrderPlaced)
async def take(e: OrderPlaced) -> OrderPaid | None:
    if e.way == "ends dead":
        return None
    if e.way == "needs approval":
        await wait(Approved, timeout="30d")
    await charge(e.order_id)
    return OrderPaid(e.order_id)


@shipping.on(OrderPaid)
async def ship(e: OrderPaid) -> OrderShipped:
    return OrderShipped(e.order_id)


@shipping.on(OrderCancelled)
async def restock(e: OrderCancelled) -> OrderNoted:
    return OrderNoted(e.order_id)


@alerts.on(*TOLD)
async def tell(
    e: ProcessCompleted | ProcessDeadEnd | ProcessOverdue | ProcessReopened | ProcessStuck,
) -> AlertSent:
    await alarm(type(e).__name__)
    return AlertSent(type(e).__name__, e.number, e.reason)


order = Process(
    "order",
    starts=OrderPlaced,
    done=OrderShipped,
    failed=OrderCancelled,
    within={OrderPaid: "1h"},
    deadline="2h",
    late=lambda e: OrderCancelled(e.order_id),
    external=Approved,
)
shop = App(payment, shipping, alerts, order)
silent = App(payment, shipping, order)
