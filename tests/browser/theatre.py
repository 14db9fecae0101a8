"""The choreography that the browser looks at: tickets are ordered, paid, printed, and a big party waits for approval.

The card reader is offline until somebody writes the file that `THEATRE_MENDED` names.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from onstage import App, Process, Reject, Retry, Service, event, step, wait
from onstage.errors import RetryAfter


@event(key="order_id")
@dataclass(frozen=True)
class TicketsOrdered:
    order_id: str
    seats: int
    card: str = "visa"
    remark: str = ""


@event(key="order_id")
@dataclass(frozen=True)
class PartyApproved:
    order_id: str
    by: str


@event(key="order_id")
@dataclass(frozen=True)
class SeatsHeld:
    order_id: str
    seats: int
    card: str
    remark: str


@event(key="order_id")
@dataclass(frozen=True)
class TicketsPaid:
    order_id: str
    charge: str


@event(key="order_id")
@dataclass(frozen=True)
class TicketsPrinted:
    order_id: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderRefused:
    order_id: str
    reason: str


class CardReaderOffline(Exception):
    """Nobody answers at the till."""


box_office, payment, printing, foyer = Service("box_office"), Service("payment"), Service("printing"), Service("foyer")


@box_office.on(TicketsOrdered)
async def hold(e: TicketsOrdered) -> SeatsHeld | OrderRefused:
    if e.seats > 100:
        return OrderRefused(e.order_id, "the house has 100 seats")
    if e.seats > 20:
        await wait(PartyApproved, timeout="24h")
    return SeatsHeld(e.order_id, e.seats, e.card, e.remark)


def refund(charged: str, order_id: str, card: str, remark: str) -> None:
    """Money back; a card that was lost takes none."""
    if card == "lost":
        raise RetryAfter("10ms")
    if card == "slow":
        raise RetryAfter("1h")


@step(retry=Retry(attempts=3, first="10ms"), undo=refund)
def charge(order_id: str, card: str, remark: str) -> str:
    if card == "offline" and not Path(os.environ["THEATRE_MENDED"]).exists():
        raise CardReaderOffline(f"till 3 does not answer {remark}".strip())
    return f"charge-{order_id}"


@payment.on(SeatsHeld, retry=Retry(attempts=1))
async def take_payment(e: SeatsHeld) -> TicketsPaid:
    return TicketsPaid(e.order_id, await charge(e.order_id, e.card, e.remark))


def shred(printed: None, order_id: str) -> None:
    """Paper into strips."""


@step(undo=shred)
async def print_tickets(order_id: str) -> None:
    """Ink on paper."""


@printing.on(TicketsPaid)
async def put_to_paper(e: TicketsPaid) -> TicketsPrinted:
    await print_tickets(e.order_id)
    return TicketsPrinted(e.order_id)


@foyer.on(TicketsPrinted, OrderRefused)
async def greet(e: TicketsPrinted | OrderRefused) -> None:
    if isinstance(e, OrderRefused):
        raise Reject("nobody to greet")


order = Process(
    "order",
    starts=TicketsOrdered,
    done=TicketsPrinted,
    failed=OrderRefused,
    external=PartyApproved,
    within={TicketsPaid: "1h"},
    deadline="3d",
    owner=box_office,
)

app = App(box_office, payment, printing, foyer, order)
