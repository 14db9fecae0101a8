"""An order through four services that never call each other: `onstage dev services:app`.

Each knows what it hears and what it says. What was done before a failure, each undoes when it hears of it.
"""

from business import CardDeclined, charge_card, refund_card, release_stock, reserve_stock, send_parcel
from events import (
    Approved,
    OrderAccepted,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    PaymentDeclined,
    StockReserved,
)

from onstage import App, Process, Service, step, wait

shop, stock, payment, shipping = Service("shop"), Service("stock"), Service("payment"), Service("shipping")
reserve, release = step(retries=5)(reserve_stock), step(retries=5)(release_stock)
charge, refund = step(retries=5, give_up_on=[CardDeclined])(charge_card), step(retries=5)(refund_card)
send = step(retries=5)(send_parcel)


@stock.on(OrderPlaced)
async def hold(e: OrderPlaced) -> StockReserved:
    return StockReserved(e.order_id, e.order, await reserve(e.order))


@payment.on(StockReserved)
async def take_payment(e: StockReserved) -> OrderPaid | PaymentDeclined:
    try:
        receipt = await charge(e.order)
    except CardDeclined as declined:
        return PaymentDeclined(e.order_id, e.order, e.shelf, str(declined))
    return OrderPaid(e.order_id, e.order, e.shelf, receipt)


@shop.on(OrderPaid)
async def await_approval(e: OrderPaid) -> OrderAccepted | OrderCancelled:
    try:
        await wait(Approved, timeout="24h")
    except TimeoutError:
        return OrderCancelled(e.order_id, e.order, e.shelf, e.receipt)
    return OrderAccepted(e.order_id, e.order)


@shipping.on(OrderAccepted)
async def ship(e: OrderAccepted) -> OrderShipped:
    return OrderShipped(e.order_id, await send(e.order))


@payment.on(OrderCancelled)
async def pay_back(e: OrderCancelled) -> None:
    await refund(e.receipt, e.order)


@stock.on(OrderCancelled, PaymentDeclined)
async def put_back(e: OrderCancelled | PaymentDeclined) -> None:
    await release(e.shelf, e.order)


order = Process(
    "order",
    starts=OrderPlaced,
    done=OrderShipped,
    failed=[OrderCancelled, PaymentDeclined],
    external=[Approved],
    owner=shop,
)
app = App(shop, stock, payment, shipping, order)
