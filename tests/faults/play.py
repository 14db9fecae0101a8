"""The workload that faults are tried on: a door with ids, a chain of hops, steps, a transaction, waits, a timer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from onstage import App, Process, Service, event, idempotency_key, step, transaction, wait
from onstage.errors import StoreUnavailable
from onstage.ports.store import Connection
from onstage.testing.sim_world import World

HOPS = 3
TABLES = "create table if not exists seat (id integer primary key, key text)"


@event("play.begun", key="key")
@dataclass(frozen=True)
class Begun:
    key: str


@event("play.hop", key="key")
@dataclass(frozen=True)
class Hop:
    key: str
    n: int


@event("play.cue", key="key")
@dataclass(frozen=True)
class Cue:
    key: str


@event("play.ended", key="key")
@dataclass(frozen=True)
class Ended:
    key: str


@event("play.missed", key="key")
@dataclass(frozen=True)
class Missed:
    key: str


class Outside:
    """What happened in the world outside, which no power cut takes back: (when, step, key, idempotency key)."""

    def __init__(self) -> None:
        self.effects: list[tuple[int, str, str, str]] = []
        self.now: Callable[[], int] = lambda: 0

    def happened(self, what: str, key: str) -> None:
        self.effects.append((self.now(), what, key, idempotency_key()))


outside = Outside()


@step(retries=3)
async def light(key: str) -> str:
    outside.happened("light", key)
    return f"light on {key}"


@step(retries=3)
def greet(key: str, n: int) -> int:
    outside.happened(f"greet {n}", key)
    return n


@transaction
def book(db: Connection, key: str) -> int:
    db.execute("insert into seat (key) values (?)", (key,))
    return len(list(db.execute("select 1 from seat where key = ?", (key,))))


house = Service("house", tables=TABLES)


@house.on(Begun)
async def start(e: Begun) -> Hop:
    await light(e.key)
    seats = await book(e.key)
    assert seats == 1, "the transaction of one execution happened twice"
    return Hop(e.key, 1)


@house.on(Hop)
async def hop(e: Hop) -> Hop | Ended | Missed:
    if e.n < HOPS:
        return Hop(e.key, e.n + 1)
    try:
        await wait(Cue, timeout="1h")
    except TimeoutError:
        await greet(e.key, 0)
        return Missed(e.key)
    await greet(e.key, 1)
    return Ended(e.key)


app = App(house, Process("play", starts=Begun, done=Ended, failed=[Missed], external=[Cue], owner=house))

Act = Callable[[World], str | None]


def send(event: object, id: str) -> Act:
    """What a client does: emit with an id of its own, again and again until there is an answer."""

    def act(world: World) -> str:
        while True:
            try:
                return world.emit(event, id, None, None)
            except StoreUnavailable:
                world.call(lambda: asyncio.sleep(1))

    return act


def rest(world: World) -> None:
    world.settle()


def restart(world: World) -> None:
    """The node dies; SQLite closes its files, and the next node opens them."""
    world.restart()


def two_hours(world: World) -> None:
    world.advance(7200)


ACTS: tuple[Act, ...] = (
    send(Begun("a"), "begin-a"),
    send(Begun("b"), "begin-b"),
    rest,
    send(Cue("a"), "cue-a"),
    restart,
    send(Begun("a"), "begin-a"),  # the client did not hear the answer
    send(Begun("c"), "begin-c"),
    two_hours,
)
ANSWERED_ALIKE = (0, 5)
OUTCOMES = {"a": "play.ended", "b": "play.missed", "c": "play.missed"}
EFFECTS = {("light", "a"), ("light", "b"), ("light", "c"), ("greet 1", "a"), ("greet 0", "b"), ("greet 0", "c")}
