"""Two services, one process: `python app.py`."""

import asyncio
from dataclasses import dataclass

from onstage import App, Process, Service, event, step


@event(key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str


@event(key="order_id")
@dataclass(frozen=True)
class OrderPaid:
    order_id: str
    receipt: str


payment, mail = Service("payment"), Service("mail")


@step(retries=5)  # tried again if it fails, never run again once its result is recorded
async def charge(order_id: str) -> str:
    return f"receipt for {order_id}"


@step
async def send(text: str) -> None:
    print(text)


@payment.on(OrderPlaced)
async def take_payment(e: OrderPlaced) -> OrderPaid:
    return OrderPaid(e.order_id, await charge(e.order_id))


@mail.on(OrderPaid)
async def thank(e: OrderPaid) -> None:
    await send(f"Thank you! Here is your {e.receipt}.")


app = App(payment, mail, Process("order", starts=OrderPlaced, done=OrderPaid))


async def main() -> None:
    async with app.run("sqlite:///quickstart.db") as stage:
        process = await stage.emit(OrderPlaced("o1"), id="checkout-1")
        print(await process.verdict(timeout="10s"))


if __name__ == "__main__":
    asyncio.run(main())
