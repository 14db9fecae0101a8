"""What the demo believes only after it has looked: at the event log, the shop's own tables and the world's own notes.

Nothing here asks Onstage for its opinion; what should have happened is worked out from orders.jsonl alone.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from app import APPROVAL_FROM_CENTS
from events import Order, OrderPlaced
from feed import Line
from world import QUIET_CITIES, UNREACHED_CITIES

PAID = "shop.order-paid"
SHIPPED, CANCELLED = "shop.order-shipped", "shop.order-cancelled"
NO_STOCK, DECLINED = "shop.out-of-stock", "shop.payment-declined"
UNDELIVERABLE = "shop.undeliverable"
OUTCOMES: Final = (SHIPPED, CANCELLED, NO_STOCK, DECLINED, UNDELIVERABLE)
UNDONE_BY: Final = {"charge": "refund", "wrap": "unwrap"}
IN_STOCK: Final = {"Yorick's skull": 40, "trapdoor": 0}
IN_STOCK_OF_OTHERS: Final = 9_000
LOG: Final = """
    select t.name, e.key, e.hlc >> 16 from onstage_event e join onstage_type t on t.id = e.type
    where t.name like 'shop.%' and (e.extra is null or json_extract(cast(e.extra as text), '$.wire') is null)
"""


class Effect(msgspec.Struct, frozen=True):
    """One line of the world's notes."""

    effect: str
    order: str
    key: str
    result: str


@dataclass(frozen=True)
class Evidence:
    """What was found after the run.

    `logged_ms` is when each event was logged. `noted_before_kill` counts the world's lines of before the crash, and
    `logged_at_noon` are the events that were on disk then.
    """

    orders: dict[str, Order]
    approved: set[str]
    events: Sequence[tuple[str, str]]
    logged_ms: Sequence[int]
    audited: Counter[tuple[str, str]]
    left: dict[str, int]
    effects: Sequence[Effect]
    noted_before_kill: int
    logged_at_noon: set[tuple[str, str]]

    @property
    def outcomes(self) -> dict[str, list[str]]:
        """The outcome events of each order."""
        found: dict[str, list[str]] = {order_id: [] for order_id in self.orders}
        for name, order_id in self.events:
            if name in OUTCOMES:
                found[order_id].append(name)
        return found

    def did(self, effect: str) -> dict[str, set[str]]:
        """The keys under which an effect happened, by order."""
        keys: defaultdict[str, set[str]] = defaultdict(set)
        for each in self.effects:
            if each.effect == effect:
                keys[each.order].add(each.key)
        return dict(keys)


@dataclass(frozen=True)
class Noon:
    """What there was when the crash came: how many effects, and copies of the stores that crashed."""

    effects: int
    stores: Sequence[Path]


def event_log(stores: Iterable[Path]) -> list[tuple[str, str, int]]:
    """Read what each store has logged itself: name, key and time (ms) of each event, in the order of their times."""
    log: list[tuple[str, str, int]] = []
    for store in stores:
        with closing(sqlite3.connect(store)) as connection:
            log += connection.execute(LOG).fetchall()
    return sorted(log, key=lambda event: event[2])


def collect(stores: Mapping[str, Path], world: Path, in_time: Sequence[Line], noon: Noon) -> Evidence:
    """Read everything that can be known. `stores` has the file of each service, one file several times or many."""
    with closing(sqlite3.connect(stores["audit"])) as connection:
        audited = Counter(connection.execute("select type, order_id from audit_log").fetchall())
    with closing(sqlite3.connect(stores["stock"])) as connection:
        left = dict(connection.execute("select sku, pieces from stock_level").fetchall())
    log = event_log(set(stores.values()))
    placed = [line for line in in_time if line.type == "shop.order-placed"]
    return Evidence(
        orders={line.subject: msgspec.json.decode(line.data, type=OrderPlaced).order for line in placed},
        approved={line.subject for line in in_time if line.type == "shop.order-approved"},
        events=[(name, key) for name, key, _ in log],
        logged_ms=[ms for _, _, ms in log],
        audited=audited,
        left=left,
        effects=[msgspec.json.decode(line, type=Effect) for line in world.read_bytes().splitlines()],
        noted_before_kill=noon.effects,
        logged_at_noon={(name, key) for name, key, _ in event_log(noon.stores)},
    )


def expected_outcome(order_id: str, order: Order, approved: set[str]) -> set[str]:
    """Return how an order may end; only who gets one of the forty skulls depends on who came first."""
    if order.cents >= APPROVAL_FROM_CENTS and order_id not in approved:
        return {CANCELLED}
    sent = UNDELIVERABLE if order.city in UNREACHED_CITIES else SHIPPED
    if order.sku in IN_STOCK:
        return {sent, NO_STOCK} if IN_STOCK[order.sku] else {NO_STOCK}
    return {DECLINED} if order.card.startswith("declined") else {sent}


# --- the checks: each yields what is wrong ---


def each_order_ended_once(found: Evidence) -> Iterator[str]:
    for order_id, outcomes in found.outcomes.items():
        expected = expected_outcome(order_id, found.orders[order_id], found.approved)
        if len(outcomes) != 1 or outcomes[0] not in expected:
            yield f"{order_id} ended with {outcomes}, not with one of {sorted(expected)}"


def shipped_means_charged_collected_labelled(found: Evidence) -> Iterator[str]:
    shipped = {order_id for order_id, outcomes in found.outcomes.items() if SHIPPED in outcomes}
    for effect in ("charge", "wrap", "collect", "label"):
        done = found.did(effect)
        done = {each: done[each] for each in done.keys() - found.did(UNDONE_BY.get(effect, "")).keys()}
        yield from (f"{order_id} was shipped without {effect}" for order_id in shipped - done.keys())
        yield from (f"{order_id} was not shipped, but had a {effect}" for order_id in done.keys() - shipped)
    mailed = found.did("mail")
    yield from (f"nobody wrote to the customer of {order_id}" for order_id in found.orders.keys() - mailed.keys())


def undone(found: Evidence) -> set[str]:
    """Return the orders of which something was undone in the world."""
    return {order_id for effect in UNDONE_BY.values() for order_id in found.did(effect)}


def what_was_done_in_vain_is_undone_once(found: Evidence) -> Iterator[str]:
    shipped = {order_id for order_id, outcomes in found.outcomes.items() if SHIPPED in outcomes}
    for effect, undo in UNDONE_BY.items():
        done, back = found.did(effect), found.did(undo)
        yield from (f"{undo} of {order_id}, which was shipped" for order_id in back.keys() & shipped)
        yield from (f"{undo} of {order_id} without {effect}" for order_id in back.keys() - done.keys())
        yield from (f"{effect} of {order_id} was not undone" for order_id in done.keys() - back.keys() - shipped)
        yield from (f"{undo} of {order_id} under {len(keys)} keys" for order_id, keys in back.items() if len(keys) > 1)
    last = {(each.effect, each.order): place for place, each in enumerate(found.effects)}
    sent = {order_id for order_id, outcomes in found.outcomes.items() if UNDELIVERABLE in outcomes}
    yield from (f"{order_id} has its money still" for order_id in sent if ("refund", order_id) not in last)


def no_effect_happened_twice(found: Evidence) -> Iterator[str]:
    for effect in {each.effect for each in found.effects}:
        many = {order_id: keys for order_id, keys in found.did(effect).items() if len(keys) > 1}
        yield from (f"{effect} of {order_id} has {len(keys)} idempotency keys" for order_id, keys in many.items())
    before = {each.key for each in found.effects[: found.noted_before_kill]}
    for key, times in Counter(each.key for each in found.effects).items():
        if times > 2 or (times == 2 and key not in before):
            yield f"{key} happened {times} times, and the crash does not explain it"


def what_was_recorded_is_not_repeated(found: Evidence) -> Iterator[str]:
    recorded_by = {"charge": PAID, "collect": SHIPPED, "label": SHIPPED}
    for each in found.effects[found.noted_before_kill :]:
        if (recorded_by.get(each.effect), each.order) in found.logged_at_noon:
            yield f"{each.effect} of {each.order} was on record at noon, and happened again"


def repeated_by_the_crash(found: Evidence) -> int:
    """Count the effects cut off between happening and being recorded, and so repeated with the same key."""
    return len(found.effects) - len({each.key for each in found.effects})


def refused_serenades(found: Evidence) -> set[str]:
    """Return the orders whose serenade the town hall must have refused."""
    quiet = {order_id for order_id, order in found.orders.items() if order.serenade and order.city in QUIET_CITIES}
    return {order_id for order_id in quiet if SHIPPED in found.outcomes[order_id]}


def refused_serenades_are_undone(found: Evidence) -> Iterator[str]:
    unwanted = refused_serenades(found) | undone(found)
    tenors, pianists = found.did("dismiss tenor"), found.did("dismiss pianist")
    for artist, dismissed in (("tenor", tenors), ("pianist", pianists)):
        booked = found.did(f"book {artist}").keys() & unwanted
        yield from (f"the {artist} of {order_id} was dismissed, or was not" for order_id in dismissed.keys() ^ booked)
    last = {(each.effect, each.order): place for place, each in enumerate(found.effects)}
    for order_id in tenors.keys() & pianists.keys():
        if last["dismiss tenor", order_id] < last["dismiss pianist", order_id]:
            yield f"{order_id}: the tenor was dismissed before the pianist"


def the_stock_adds_up(found: Evidence) -> Iterator[str]:
    sold: Counter[str] = Counter()
    for order_id, outcomes in found.outcomes.items():
        order = found.orders[order_id]
        sold[order.sku] += order.quantity if SHIPPED in outcomes else 0
    for sku, pieces in found.left.items():
        if pieces + sold[sku] != IN_STOCK.get(sku, IN_STOCK_OF_OTHERS):
            yield f"{sku}: {sold[sku]} sold, {pieces} left, {IN_STOCK.get(sku, IN_STOCK_OF_OTHERS)} at the start"
    returned = [each for each, names in found.outcomes.items() if names == [UNDELIVERABLE]]
    if found.left["Yorick's skull"] > sum(found.orders[each].sku == "Yorick's skull" for each in returned):
        yield "there are skulls left, although more were wanted than there are"


def the_audit_heard_everything(found: Evidence) -> Iterator[str]:
    logged = Counter(found.events)
    missing, invented = logged - found.audited, found.audited - logged
    if missing or invented:
        yield f"of {logged.total()} events the audit missed {missing.total()} and invented {invented.total()}"


def wrong_verdicts(found: Evidence, verdicts: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """What final verdicts said of an order that is not so, and what the last time of asking left out."""
    true = {order_id: f"completed ({' and '.join(names)})" for order_id, names in found.outcomes.items()}
    true |= {order_id: f"compensated: {' and '.join(found.outcomes[order_id])}" for order_id in undone(found)}
    for said in verdicts:
        yield from (f"{each} is {verdict}, not {true[each]}" for each, verdict in said.items() if verdict != true[each])
    yield from (
        f"{order_id} is {end}, and nobody says so" for order_id, end in true.items() if order_id not in verdicts[-1]
    )


CHECKS: Final = {
    "every order ended exactly once, as its data says": each_order_ended_once,
    "paid for good, wrapped, collected and labelled is what was shipped": shipped_means_charged_collected_labelled,
    "what was done in vain was undone, once, and nothing else was": what_was_done_in_vain_is_undone_once,
    "no effect happened twice, save what the crash cut off, under the same key": no_effect_happened_twice,
    "no effect whose result was on disk at the crash happened again": what_was_recorded_is_not_repeated,
    "unwanted serenades: the pianist dismissed, then the tenor": refused_serenades_are_undone,
    "the stock adds up to the piece: reserved is shipped, the rest put back": the_stock_adds_up,
    "the audit heard every event exactly once": the_audit_heard_everything,
}
