"""A shop for theatre props: seven services that never call each other, and orders that always come to an end.

shop -> stock -> payment and packing, side by side -> shipping, while notification and audit listen. Nobody conducts.
Try `onstage dev app:app`.
"""

import os

from events import (
    Order,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    OrderRejected,
    OrderShipped,
    OrderWrapped,
    OutOfStock,
    PaymentDeclined,
    StockReserved,
    Undeliverable,
)
from world import (
    QUIET_CITIES,
    Agency,
    Bank,
    Bench,
    CardDeclined,
    Courier,
    MailServer,
    NoRoute,
    bank,
    bench,
    courier,
    mail_and_agency,
)

from onstage import App, Envelope, Process, Reject, Service, resource, step, transaction, wait
from onstage.durable import scope
from onstage.ports.store import Connection

APPROVAL_FROM_CENTS = 100_000
APPROVAL_WITHIN = os.environ.get("SHOP_APPROVAL_WITHIN", "24h")


# --- shop: a big order waits for somebody's approval, a day at most ---

shop = Service("shop")


@shop.on(OrderPlaced)
async def review(e: OrderPlaced) -> OrderAccepted | OrderCancelled:
    if e.order.cents < APPROVAL_FROM_CENTS:
        return OrderAccepted(e.order_id, e.order)
    try:
        decision = await wait(OrderApproved, OrderRejected, timeout=APPROVAL_WITHIN)
    except TimeoutError:
        return OrderCancelled(e.order_id, f"nobody approved it within {APPROVAL_WITHIN}")
    match decision:
        case OrderApproved():
            return OrderAccepted(e.order_id, e.order)
        case OrderRejected(by=by, reason=reason):
            return OrderCancelled(e.order_id, f"{by} rejected it: {reason}")


# --- stock: its own tables, changed in the same commit that remembers the event as handled ---

stock = Service(
    "stock",
    tables="""
        create table if not exists stock_level (sku text primary key, pieces integer not null check (pieces >= 0));
        create table if not exists stock_reservation (order_id text primary key, sku text, pieces integer);
        insert or ignore into stock_level values
            ('crown', 9000), ('dagger', 9000), ('fog machine', 9000), ('thunder sheet', 9000),
            ('velvet curtain', 9000), ('Yorick''s skull', 40), ('trapdoor', 0);
    """,
)


@transaction
def take(db: Connection, order_id: str, order: Order) -> bool:
    wanted = (order.quantity, order.sku, order.quantity)
    enough = "update stock_level set pieces = pieces - ? where sku = ? and pieces >= ? returning pieces"
    if not list(db.execute(enough, wanted)):
        return False
    db.execute("insert into stock_reservation values (?, ?, ?)", (order_id, order.sku, order.quantity))
    return True


@transaction
def give_back(db: Connection, order_id: str) -> None:
    taken = list(db.execute("delete from stock_reservation where order_id = ? returning pieces, sku", (order_id,)))
    for pieces, sku in taken:
        db.execute("update stock_level set pieces = pieces + ? where sku = ?", (pieces, sku))


@stock.on(OrderAccepted)
async def reserve(e: OrderAccepted) -> StockReserved | OutOfStock:
    if await take(e.order_id, e.order):
        return StockReserved(e.order_id, e.order)
    return OutOfStock(e.order_id, e.order.sku)


@stock.on(PaymentDeclined, Undeliverable)
async def put_back(e: PaymentDeclined | Undeliverable) -> None:
    await give_back(e.order_id)


# --- payment: a step is never repeated once its result is recorded; a declined card is no reason to retry ---

payment = Service("payment", lifespan=bank)


async def refund(charge_id: str, order_id: str, *_: object) -> None:
    await resource(Bank).refund(charge_id, order_id)


@step(retries=5, give_up_on=[CardDeclined], undo=refund)
async def charge(order_id: str, card: str, cents: int) -> str:
    return await resource(Bank).charge(order_id, card, cents)


@payment.on(StockReserved)
async def take_payment(e: StockReserved) -> OrderPaid | PaymentDeclined:
    try:
        charge_id = await charge(e.order_id, e.order.card, e.order.cents)
    except CardDeclined as declined:
        return PaymentDeclined(e.order_id, str(declined))
    return OrderPaid(e.order_id, e.order, charge_id)


# --- packing: wraps while the bank is asked; what was wrapped in vain is unwrapped ---

packing = Service("packing", lifespan=bench)


async def unwrap(paper: str, order_id: str) -> None:
    await resource(Bench).unwrap(paper, order_id)


@step(retries=5, undo=unwrap)
async def wrap(order_id: str) -> str:
    return await resource(Bench).wrap(order_id)


@packing.on(StockReserved)
async def pack(e: StockReserved) -> OrderWrapped:
    await wrap(e.order_id)
    return OrderWrapped(e.order_id)


# --- shipping: the courier's line is often busy, and the label printer blocks (so its step runs in a thread) ---

shipping = Service("shipping", lifespan=courier)


@step(give_up_on=[NoRoute])
def find_route(city: str) -> str:
    return resource(Courier).route(city)


@step(retries=5, pivot=True)  # the parcel leaves the house: from here on nothing is undone
async def collect(order_id: str, city: str) -> str:
    return await resource(Courier).collect(order_id, city)


@step
def print_label(parcel: str, order_id: str) -> None:
    resource(Courier).print_label(parcel, order_id)


@shipping.on(OrderPaid)
async def ship(e: OrderPaid) -> OrderShipped | Undeliverable:
    try:
        await find_route(e.order.city)
    except NoRoute as unknown:  # the bank gives the money back, packing unwraps, stock takes the props
        return Undeliverable(e.order_id, str(unknown))
    await wait(OrderWrapped)
    parcel = await collect(e.order_id, e.order.city)
    await print_label(parcel, e.order_id)
    return OrderShipped(e.order_id, parcel)


# --- notification: a mail at the end; and who likes gets a serenade, unless the town hall objects ---

notification = Service("notification", lifespan=mail_and_agency)


@step(retries=5)
async def send_mail(order_id: str, text: str) -> None:
    await resource(MailServer).send(order_id, text)


async def dismiss(booking: str, artist: str, order_id: str) -> None:
    await resource(Agency).dismiss(artist, order_id, booking)


@step(retries=5, undo=dismiss)
async def book(artist: str, order_id: str) -> str:
    return await resource(Agency).book(artist, order_id)


@notification.on(OrderPaid)
async def serenade(e: OrderPaid) -> None:
    if not e.order.serenade:
        return
    async with scope("serenade"):
        await book("tenor", e.order_id)
        await book("pianist", e.order_id)
        if e.order.city in QUIET_CITIES:  # both are dismissed, the pianist first; the parcel is on its way all the same
            raise Reject(f"{e.order.city} allows no serenades in the street")


@notification.on(OrderShipped, OrderCancelled, OutOfStock, PaymentDeclined, Undeliverable)
async def tell_customer(e: OrderShipped | OrderCancelled | OutOfStock | PaymentDeclined | Undeliverable) -> None:
    match e:
        case OrderShipped(parcel=parcel):
            await send_mail(e.order_id, f"Break a leg! {parcel} is on its way.")
        case OrderCancelled(reason=reason):
            await send_mail(e.order_id, f"Your order was cancelled: {reason}.")
        case OutOfStock(sku=sku):
            await send_mail(e.order_id, f"Alas, we have no {sku} left.")
        case PaymentDeclined(reason=reason):
            await send_mail(e.order_id, f"Your order was not paid: {reason}.")
        case Undeliverable(reason=reason):
            await send_mail(e.order_id, f"Your money is on its way back: {reason}.")


# --- audit: hears everything, holds up nothing ---

audit = Service(
    "audit",
    tables="create table if not exists audit_log (event_id text primary key, type text, order_id text)",
)


@transaction
def write_down(db: Connection, event_id: str, type: str, order_id: str | None) -> None:
    db.execute("insert into audit_log values (?, ?, ?)", (event_id, type, order_id))


@audit.on("shop.>")
async def listen(e: Envelope) -> None:
    await write_down(e.id, e.type, e.subject)


# --- an order, seen as a whole: declared and watched, never driven ---

order_process = Process(
    "order",
    starts=OrderPlaced,
    done=OrderShipped,
    failed=[PaymentDeclined, OutOfStock, OrderCancelled, Undeliverable],
    external=[OrderApproved, OrderRejected],
    owner=shop,
)

app = App(shop, stock, payment, packing, shipping, notification, audit, order_process)
