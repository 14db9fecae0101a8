"""What the services of the prop shop say to each other: plain dataclasses, facts in the past tense."""

from dataclasses import dataclass

from onstage import event


@dataclass(frozen=True)
class Order:
    """What was ordered; no event of its own, it travels inside some."""

    customer: str
    city: str
    sku: str
    quantity: int
    cents: int
    card: str
    serenade: bool = False


# --- from outside: the web shop and the back office ---


@event("shop.order-placed", key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    order: Order


@event("shop.order-approved", key="order_id")
@dataclass(frozen=True)
class OrderApproved:
    order_id: str
    by: str


@event("shop.order-rejected", key="order_id")
@dataclass(frozen=True)
class OrderRejected:
    order_id: str
    by: str
    reason: str


# --- on the way ---


@event("shop.order-accepted", key="order_id")
@dataclass(frozen=True)
class OrderAccepted:
    order_id: str
    order: Order


@event("shop.stock-reserved", key="order_id")
@dataclass(frozen=True)
class StockReserved:
    order_id: str
    order: Order


@event("shop.order-paid", key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str
    order: Order
    charge_id: str


@event("shop.order-wrapped", key="order_id")
@dataclass(frozen=True)
class OrderWrapped:
    order_id: str


# --- the five ways in which an order ends ---


@event("shop.order-shipped", key="order_id")
@dataclass(frozen=True)
class OrderShipped:
    order_id: str
    parcel: str


@event("shop.order-cancelled", key="order_id")
@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    reason: str


@event("shop.out-of-stock", key="order_id")
@dataclass(frozen=True)
class OutOfStock:
    order_id: str
    sku: str


@event("shop.payment-declined", key="order_id")
@dataclass(frozen=True)
class PaymentDeclined:
    order_id: str
    reason: str


@event("shop.undeliverable", key="order_id")
@dataclass(frozen=True)
class Undeliverable:
    order_id: str
    reason: str
