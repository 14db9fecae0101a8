"""The same order as one workflow, with the same functions: `onstage dev workflow:app`.

What was done before a failure is undone in reverse order, because each step says how.
"""

from business import CardDeclined, Order, charge_card, refund_card, release_stock, reserve_stock, send_parcel
from events import Approved

from onstage import App, Reject, Service, step, wait

orders = Service("orders")
reserve = step(retries=5, undo=release_stock)(reserve_stock)
charge = step(retries=5, give_up_on=[CardDeclined], undo=refund_card)(charge_card)
send = step(retries=5)(send_parcel)


@orders.workflow
async def fulfil(order: Order) -> str:
    await reserve(order)
    try:
        await charge(order)
        await wait(Approved, timeout="24h")
    except (CardDeclined, TimeoutError) as reason:
        raise Reject(str(reason)) from reason
    return await send(order)


app = App(orders)
