"""A shop in which somebody waits for what may never come, in each way in which it may still come."""

from dataclasses import dataclass

from onstage import App, Process, Service, emit, event, gather, sleep, start, step, wait
from onstage.errors import WillNeverHappen


@event("h.placed", key="order_id")
@dataclass(frozen=True)
class Placed:
    order_id: str
    way: str = ""


@event("h.checked", key="order_id")
@dataclass(frozen=True)
class Checked:
    order_id: str


@event("h.paid", key="order_id")
@dataclass(frozen=True)
class Paid:
    order_id: str


@event("h.reminded", key="order_id")
@dataclass(frozen=True)
class Reminded:
    order_id: str


@event("h.approved", key="order_id")
@dataclass(frozen=True)
class Approved:
    order_id: str


@event("h.shipped", key="order_id")
@dataclass(frozen=True)
class Shipped:
    order_id: str


@event("h.given-up", key="order_id")
@dataclass(frozen=True)
class GivenUp:
    order_id: str
    why: str


payment, shipping = Service("payment"), Service("shipping")


@step
async def note(order_id: str, why: str) -> str:
    """An effect that is to come once."""
    return f"{order_id}: {why}"


@payment.workflow(emits=[Paid])
async def pay(order_id: str) -> str:
    """A child that pays."""
    await emit(Paid(order_id))
    return "paid"


@payment.on(Placed)
async def take(e: Placed) -> Paid | Checked | None:
    """The only one that pays, or leads to it."""
    match e.way:
        case "slow":
            await sleep("2h")
            return Paid(e.order_id)
        case "later":
            await emit(Paid(e.order_id), after="2h")
        case "by another":
            return Checked(e.order_id)
        case "by a child":
            await sleep("1h")
            await (await start(pay, e.order_id))
        case "fails":
            raise ValueError(e.way)
        case "" | "approve" | "two" | "sleepy":
            return None
    return Paid(e.order_id)


@payment.on(Checked)
async def check(e: Checked) -> Paid:
    """Pays after a while."""
    await sleep("1h")
    return Paid(e.order_id)


@shipping.on(Placed)
async def ship(e: Placed) -> Shipped | GivenUp:
    """Waits for the payment."""
    try:
        if e.way == "approve":
            await wait(Paid, Approved, timeout="5h")
        elif e.way == "two":
            await gather(wait(Paid, timeout="5h"), sleep("1m"))
        else:
            await wait(Paid, timeout="5h")
    except WillNeverHappen as error:
        await note(e.order_id, str(error))
        if e.way == "sleepy":
            await sleep("10m")
        return GivenUp(e.order_id, "never")
    except TimeoutError:
        return GivenUp(e.order_id, "timeout")
    return Shipped(e.order_id)


stubborn = Service("stubborn")


@stubborn.on(Reminded)
async def remind(e: Reminded) -> Paid:
    """Pays at once."""
    return Paid(e.order_id)


@stubborn.on(Placed)
async def insist(e: Placed) -> Shipped | Reminded:
    """Reminds, and waits once more: what it does itself after it was told can lead to what it waits for."""
    try:
        await wait(Paid)
    except WillNeverHappen:
        await emit(Reminded(e.order_id))
        await wait(Paid)
    return Shipped(e.order_id)


order = Process("order", starts=Placed, done=Shipped, failed=GivenUp, external=Approved)
shop = App(payment, shipping, order)
insisting = App(payment, stubborn, Process("order", starts=Placed, done=Shipped))

helpless = Service("helpless")


@helpless.on(Placed)
async def hope(e: Placed) -> Shipped:
    """Does not expect that it may be in vain."""
    await wait(Checked)
    return Shipped(e.order_id)


cashier = Service("cashier")


@cashier.on(Paid)
async def recheck(e: Paid) -> Checked:
    """Makes `Checked`, if somebody pays."""
    return Checked(e.order_id)


@cashier.on(Placed)
async def ring(e: Placed) -> Paid | None:
    """Pays for the rich."""
    return Paid(e.order_id) if e.way == "rich" else None


hoping = App(helpless, cashier, Process("order", starts=Placed, done=Shipped))
