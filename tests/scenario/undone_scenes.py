"""A shop whose orders are undone: steps with undos in four services, side by side and one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from onstage import App, Process, Reject, Request, Retry, Service, ask, emit, event, idempotency_key, step, wait
from onstage.errors import RetryAfter
from onstage.verdicts import ProcessCompensated

DID: list[str] = []
"""What was done and undone outside, in its order: `+charge o1`, `-charge o1`."""
TOLD: list[ProcessCompensated] = []
"""What was told of processes that were undone."""
KEYS: dict[str, list[str]] = {}
"""The idempotency keys of what was undone."""


@event("undone.placed", key="order")
@dataclass(frozen=True)
class Placed:
    order: str
    plan: str = ""


@event("undone.reserved", key="order")
@dataclass(frozen=True)
class Reserved:
    order: str
    plan: str = ""


@event("undone.paid", key="order")
@dataclass(frozen=True)
class Paid:
    order: str
    plan: str = ""


@event("undone.shipped", key="order")
@dataclass(frozen=True)
class Shipped:
    order: str


@event("undone.refused", key="order")
@dataclass(frozen=True)
class Refused:
    order: str


@event("undone.told", key="order")
@dataclass(frozen=True)
class Told:
    order: str


@event("undone.approved", key="order")
@dataclass(frozen=True)
class Approved:
    order: str


@event("undone.rate", key="order")
@dataclass(frozen=True)
class Rate(Request[int]):
    order: str


lost: set[str] = set()
"""What cannot be undone at present."""


def reset() -> None:
    """Nothing was done yet."""
    DID.clear()
    KEYS.clear()
    TOLD.clear()
    lost.clear()


def did(what: str, *names: str) -> None:
    DID.append(" ".join((what, *names)))


def take_back(result: str | None, what: str, order: str) -> None:
    """The undo of `act`."""
    if what in lost:
        raise ConnectionError(f"nobody takes the {what} back")
    KEYS.setdefault(f"{what} {order}", []).append(idempotency_key())
    did(f"-{what}", order, *(["in doubt"] if result is None else []))


@step(undo=take_back, retries=3)
async def act(what: str, order: str) -> str:
    """Something done outside."""
    did(f"+{what}", order)
    return f"{what} done"


@step(undo=take_back, retries=3, in_doubt="undo")
async def act_or_forget(what: str, order: str) -> str:
    """Something done outside, whose undo can do without a result; nobody ever hears whether it was done."""
    did(f"+{what}", order)
    raise RetryAfter("10h")


@step(undo=take_back, retries=3)
async def act_in_doubt(what: str, order: str) -> str:
    """Something done outside; the first time, nobody hears whether it was done."""
    KEYS.setdefault(f"did {what} {order}", []).append(idempotency_key())
    did(f"+{what}", order)
    if len(KEYS[f"did {what} {order}"]) == 1:
        raise RetryAfter("10h")
    return f"{what} done"


@step
async def note(what: str, order: str) -> None:
    """Something done outside that stays."""
    did(f"+{what}", order)


stock, payment, shipping = Service("stock"), Service("payment"), Service("shipping")
desk, pricing, packing, careless = Service("desk"), Service("pricing"), Service("packing"), Service("careless")
odd, paused, lane = Service("odd"), Service("paused"), Service("lane")
idle, station = Service("idle"), Service("station")


@stock.on(Placed)
async def reserve(e: Placed) -> Reserved:
    await act("shelf", e.order)
    await act("label", e.order)
    return Reserved(e.order, e.plan)


@payment.on(Reserved)
async def charge(e: Reserved) -> Paid | Refused:
    await act("charge", e.order)
    if e.plan in ("refused", "doubt"):
        return Refused(e.order)
    if e.plan == "rejected":
        raise Reject("no credit")
    return Paid(e.order, e.plan)


@desk.on(Placed)
async def confirm(e: Placed) -> None:
    """Beside the others: emits, asks, and waits for an approval."""
    await act("letter", e.order)
    price = await ask(Rate(e.order))
    await act(f"quote{price}", e.order)
    if e.plan != "plain":
        await wait(Approved)
        await act("stamp", e.order)


@pricing.answers(Rate)
async def rate(e: Rate) -> int:
    await act("rate", e.order)
    return 7


@shipping.on(Paid)
async def ship(e: Paid) -> Shipped | Told:
    if e.plan == "late":
        await emit(Told(e.order))
        await act("van", e.order)
        raise Reject("no van")
    await act("van", e.order)
    return Shipped(e.order)


@desk.on(ProcessCompensated, name="archive")
async def archive(e: ProcessCompensated) -> None:
    """Hears that an order was undone."""
    TOLD.append(e)


@odd.on(Reserved)
async def remind(e: Reserved) -> Told:
    """Emits in an hour."""
    await act("calendar", e.order)
    await emit(Told(e.order), after="1h")
    return Told(e.order)


@odd.on(Reserved, retry=Retry(1))
async def stumble(e: Reserved) -> None:
    """Does something, and is set aside."""
    await act("ladder", e.order)
    raise RuntimeError("the ladder broke")


@paused.on(Reserved)
async def idle_by(e: Reserved) -> None:
    """Is paused, and never begins."""
    await act("nothing", e.order)


@lane.on(Reserved, key="plan", retry=Retry(1))
async def in_line(e: Reserved) -> None:
    """Takes turns: behind a dead letter of another order it does not begin."""
    if e.order == "blocker":
        raise RuntimeError("nobody passes")
    await act("nothing", e.order)


@step(pivot=True)
async def depart(order: str) -> None:
    """The point of no return."""
    did("+depart", order)


@station.on(Paid)
async def leave(e: Paid) -> Shipped | Refused:
    """In place of shipping: a train that cannot be called back."""
    await (act_in_doubt if e.plan == "slow" else act)("ticket", e.order)
    await depart(e.order)
    await wait(Approved)
    if e.plan == "derailed":
        return Refused(e.order)
    return Shipped(e.order)


@idle.on(Paid)
async def look_on(e: Paid) -> None:
    """In place of shipping: nothing."""
    await wait(Approved)


@desk.on(Told)
async def tell(e: Told) -> None:
    await act("call", e.order)


@desk.on(Refused)
async def apologise(e: Refused) -> Told:
    await note("apology", e.order)
    return Told(e.order)


@packing.on(Reserved)
async def pack(e: Reserved) -> None:
    """Beside the payment: a step of which nobody knows whether it was done."""
    if e.plan == "doubt":
        await act_in_doubt("parcel", e.order)


@careless.on(Reserved)
async def pack_and_forget(e: Reserved) -> None:
    """Likewise, with an undo that needs no result."""
    if e.plan == "doubt":
        await act_or_forget("parcel", e.order)


order = Process("undone-order", starts=Placed, done=Shipped, failed=Refused, external=[Approved])
plain = Process("undone-order", starts=Placed, done=Shipped, failed=Refused, external=[Approved], undo=False)
SERVICES = (stock, payment, shipping, desk, pricing)
APP = App(*SERVICES, packing, order)
forgetful = App(*SERVICES, careless, order)
PLAIN = App(*SERVICES, plain)
timed = Process(
    "undone-order",
    starts=Placed,
    done=Shipped,
    failed=Refused,
    deadline="2h",
    late=lambda e: Refused(e.order),
)
TIMED = App(stock, payment, desk, pricing, idle, timed)
ODD = App(stock, desk, pricing, odd, paused, lane, plain)
TRAIN = App(stock, payment, desk, pricing, station, order)
FOREVER = App(stock, payment, desk, pricing, idle, plain)
"""Nobody ships: an order is open until somebody cancels it."""

AFTER = {  # what must be undone before what, because it was caused by it
    "refused": ["charge<label", "label<shelf", "quote7<rate", "rate<letter"],
    "rejected": ["charge<label", "label<shelf", "quote7<rate", "rate<letter"],
    "late": ["call<van", "van<charge", "charge<label", "label<shelf", "quote7<rate", "rate<letter"],
}
LEFT_ALONE = {"refused": {"call"}, "rejected": set[str](), "late": set[str]()}


def check(plan: str, order: str = "o1") -> None:
    """Each step that was done is undone, under one key, after all that it caused."""
    done = {what[1:].split()[0] for what in DID if what.startswith("+")} - {"apology"}
    undone = {what[1:].split()[0] for what in DID if what.startswith("-")}
    assert undone == done - LEFT_ALONE[plan]
    assert all(len(set(keys)) == 1 for keys in KEYS.values()), KEYS
    for rule in AFTER[plan]:
        first, then = rule.split("<")
        if first in undone:
            last_of_first = max(at for at, what in enumerate(DID) if what.startswith(f"-{first} {order}"))
            assert last_of_first < DID.index(f"-{then} {order}"), (rule, DID)
