"""Keyed state through crashes, retries and races: no change is lost, none is doubled, replay sees what was read."""

import asyncio
from dataclasses import dataclass

import pytest
from tests.scenario.sim_checks import check_accounts, check_settled

from onstage import App, Reject, Service, event, sleep, step
from onstage.errors import StateChanged
from onstage.state import state
from onstage.testing import Sim


@event("cart.added", key="cart")
@dataclass(frozen=True)
class Added:
    cart: str
    sku: str


@event("cart.checked-out", key="cart")
@dataclass(frozen=True)
class CheckedOut:
    cart: str


@event("cart.totalled", key="cart")
@dataclass(frozen=True)
class Totalled:
    cart: str
    skus: tuple[str, ...]
    read: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cart:
    skus: tuple[str, ...] = ()
    checked: int = 0


carts = Service("carts")
seen: list[tuple[str, int]] = []


@step(retries=3)
def look_up(sku: str) -> str:
    return sku.upper()


@carts.on(Added)
async def add(e: Added) -> None:
    cart = await state(Cart, key=e.cart)
    seen.append((e.sku, cart.version))
    sku = await look_up(e.sku)
    now = cart.get(Cart())
    cart.set(Cart((*now.skus, sku), now.checked))


@carts.on(CheckedOut)
async def check_out(e: CheckedOut) -> Totalled:
    cart = await state(Cart, key=e.cart)
    now = cart.get(Cart())
    cart.set(Cart((), now.checked + 1))
    await look_up("seal")
    again = await state(Cart, key=e.cart)
    assert again.version == cart.version, "what it has set itself is read"
    again.clear()
    return Totalled(e.cart, now.skus, (cart.version, again.version))


SHOP = App(carts)


async def shop(sim: Sim) -> None:
    """Two carts, four things each, one after the other and all at once."""
    for sku in "abcd":
        for cart in ("k1", "k2"):
            await sim.emit(Added(cart, f"{cart}{sku}"))
    await sim.settle()
    for cart in ("k1", "k2"):
        await sim.emit(CheckedOut(cart))
    await sim.settle()
    check_settled(sim)
    check_accounts(sim)
    for total in sim.emitted(Totalled):
        assert total.skus == tuple(f"{total.cart}{sku}".upper() for sku in "abcd")
        assert total.read == (5, 6)
    rows = sim.read(lambda reader: reader.states())
    assert [(row.state, row.key, row.version, row.data) for row in rows] == [
        ("carts.Cart", "k1", 6, None),
        ("carts.Cart", "k2", 6, None),
    ]


def test_no_change_is_lost_or_doubled_wherever_the_node_dies() -> None:
    async def play() -> int:
        return await Sim(SHOP, seed=3).every_crash(shop)

    assert asyncio.run(play()) > 20


async def busy_shop(sim: Sim) -> None:
    """The look-up of the first thing fails twice while three more events come, also one for another handler."""
    sim.fail(look_up, ConnectionError(), times=2)
    for begun in (Added("k", "a"), Added("k", "b"), CheckedOut("k"), Added("k", "c")):
        await sim.emit(begun)
    await sim.settle()
    check_settled(sim)
    assert [total.skus for total in sim.emitted(Totalled)] == [("A", "B")]
    (row,) = sim.read(lambda reader: reader.states())
    assert (row.version, row.data) == (5, b'{"skus":["C"],"checked":0}')


def test_handlers_that_keep_state_take_turns_by_key() -> None:
    """Whatever fails between reading and setting, and in the order of the log."""

    async def play() -> int:
        return await Sim(SHOP, seed=4).every_crash(busy_shop)

    assert asyncio.run(play()) > 10


@event("race.begun", key="key")
@dataclass(frozen=True)
class Begun:
    key: str
    pause: str


@event("race.ended", key="key")
@dataclass(frozen=True)
class Ended:
    key: str
    said: str


counters = Service("counters")


@counters.on(Begun, lane="until-wait")
async def count(e: Begun) -> Ended:
    """Lets go of its lane between reading and setting; reads again when it has been overtaken."""
    read = await state(int, key=e.key, name="count")
    await sleep(e.pause)
    try:
        read.set(read.get(0) + 1)
    except StateChanged:
        read = await state(int, key=e.key, name="count")
        read.set(read.get(0) + 1)
        return Ended(e.key, "again")
    return Ended(e.key, "at once")


async def race(sim: Sim) -> None:
    await sim.emit(Begun("k", "3s"))
    await sim.emit(Begun("k", "2s"))
    await sim.emit(Begun("k", "1s"))
    await sim.settle()
    await sim.advance("10s")
    check_settled(sim)
    (row,) = sim.read(lambda reader: reader.states(key="k"))
    assert (row.state, row.version, row.data) == ("counters.count", 3, b"3")
    assert [ended.said for ended in sim.emitted(Ended)] == ["at once", "again", "again"]


def test_who_lets_go_of_its_lane_is_told_that_the_state_has_changed() -> None:
    async def play() -> int:
        return await Sim(App(counters), seed=5).every_crash(race)

    assert asyncio.run(play()) > 5


@event("hidden.begun", key="key")
@dataclass(frozen=True)
class Hidden:
    key: str


@event("hidden.other", key="key")
@dataclass(frozen=True)
class Other:
    key: str


HIDDEN = {"state": state}
"""So that no handler's source tells that it keeps state: only versions protect it then."""

hidden = Service("hidden")


@hidden.on(Hidden)
async def one(e: Hidden) -> None:
    read = await HIDDEN["state"](int, key=e.key, name="n")
    await asyncio.sleep(1)
    read.set(read.get(0) + 1)


@hidden.on(Other)
async def other(e: Other) -> None:
    read = await HIDDEN["state"](int, key=e.key, name="n")
    await asyncio.sleep(1)
    read.set(read.get(0) + 10)


async def race_unseen(sim: Sim) -> None:
    for _ in range(3):
        await sim.emit(Hidden("k"))
        await sim.emit(Other("k"))
    await sim.settle()
    check_settled(sim)
    (row,) = sim.read(lambda reader: reader.states())
    assert (row.version, row.data) == (6, b"33")


@pytest.mark.filterwarnings("ignore")
def test_versions_alone_lose_no_change_either() -> None:
    async def play() -> None:
        async with Sim(App(hidden), seed=6) as sim:
            await race_unseen(sim)
        await Sim(App(hidden), seed=6).every_crash(race_unseen)

    asyncio.run(play())


refusing = Service("refusing")


@refusing.on(Begun)
async def refuse(e: Begun) -> None:
    read = await state(str, key=e.key)
    read.set(f"before {e.pause}")
    raise Reject("no")


def test_a_rejection_does_not_take_back_what_was_set() -> None:
    """As documented: the change is an effect like a transaction, and what undoes it is another change."""

    async def play() -> bytes | None:
        async with Sim(App(refusing), seed=7) as sim:
            await sim.emit(Begun("k", "1s"))
            await sim.settle()
            (row,) = sim.read(lambda reader: reader.states())
            return row.data

    assert asyncio.run(play()) == b'"before 1s"'
