"""What is said in the shop: each event carries what the next service needs."""

from dataclasses import dataclass

from business import Order

from onstage import event


@event(key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    order: Order


@event(key="order_id")
@dataclass(frozen=True)
class StockReserved:
    order_id: str
    order: Order
    shelf: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str
    order: Order
    shelf: str
    receipt: str


@event(key="order_id")
@dataclass(frozen=True)
class PaymentDeclined:
    order_id: str
    order: Order
    shelf: str
    reason: str


@event(key="order_id")
@dataclass(frozen=True)
class Approved:
    order_id: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderAccepted:
    order_id: str
    order: Order


@event(key="order_id")
@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    order: Order
    shelf: str
    receipt: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderShipped:
    order_id: str
    parcel: str
