"""What the shop does in the world: plain functions that know nothing of Onstage. Each notes what it did in `DONE`."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

DONE: list[tuple[str, str]] = []
_NUMBERS: Iterator[int] = count(1)


class CardDeclined(Exception):
    """The bank refuses for good."""


@dataclass(frozen=True)
class Order:
    order_id: str
    sku: str
    cents: int
    card: str


async def reserve_stock(order: Order) -> str:
    DONE.append(("reserved", order.order_id))
    return f"shelf-{next(_NUMBERS)}"


async def release_stock(_shelf: str, order: Order) -> None:
    DONE.append(("released", order.order_id))


async def charge_card(order: Order) -> str:
    if order.card == "stolen":
        raise CardDeclined("the bank says the card is stolen")
    DONE.append(("charged", order.order_id))
    return f"receipt-{next(_NUMBERS)}"


async def refund_card(_receipt: str, order: Order) -> None:
    DONE.append(("refunded", order.order_id))


async def send_parcel(order: Order) -> str:
    DONE.append(("sent", order.order_id))
    return f"parcel-{next(_NUMBERS)}"
