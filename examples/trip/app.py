"""Branches: a trip is booked side by side, raced against a deadline, and partly given up. Run it: `python app.py`."""

import asyncio
from dataclasses import dataclass
from typing import assert_type

from onstage import App, Reject, Service, event, gather, race, sleep, spawn, step
from onstage.durable import scope


@event(key="id")
@dataclass(frozen=True)
class TripAsked:
    id: str
    with_car: bool = True


@event(key="id")
@dataclass(frozen=True)
class TripBooked:
    id: str
    what: str
    price: int


travel = Service("travel")


async def cancel(price: int, what: str) -> None:
    print("cancelled", what, "and paid back", price)


@step(retries=3, undo=cancel)
async def book(what: str) -> int:
    print("booked", what)
    return len(what) * 100


@step
async def send_letter(to: str) -> str:
    return f"letter to {to}"


async def tell_friends() -> None:
    for friend in ("ada", "bob"):
        await send_letter(friend)


async def give_up() -> None:
    await sleep("2h")


@travel.on(TripAsked)
async def book_trip(e: TripAsked) -> TripBooked:
    letters = spawn(tell_friends())
    flight, hotel = await gather(book("flight"), book("hotel"))
    assert_type(flight, int)
    guide = await race(book("guide"), give_up())
    assert_type(guide, int | None)
    async with scope("car") as car:
        await book("car")
        if not e.with_car:
            raise Reject("no licence")
    await letters
    what = "without a car" if car.rejected else "with a car"
    return TripBooked(e.id, what, flight + hotel + (guide or 0))


app = App(travel)


async def main() -> None:
    async with app.run("sqlite:///trip.db") as stage:
        process = await stage.emit(TripAsked("t1", with_car=False))
        print(await process.verdict(timeout="10s"))


if __name__ == "__main__":
    asyncio.run(main())
