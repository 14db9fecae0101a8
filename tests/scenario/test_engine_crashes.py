"""The node dies before and after every commit of scenes that use each durable call; nothing may be lost or doubled."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from tests.scenario.sim_checks import check_accounts, check_settled, watch_steps

from onstage import App, Process, Reject, Service, emit, event, idempotency_key, sleep, step, transaction, wait
from onstage.ports.store import Connection
from onstage.runtime import dispatcher
from onstage.testing import Sim


@event("play.begun", key="key")
@dataclass(frozen=True)
class Begun:
    key: str
    n: int = 0


@event("play.hop", key="key")
@dataclass(frozen=True)
class Hop:
    key: str
    n: int


@event("play.cue", key="key")
@dataclass(frozen=True)
class Cue:
    key: str
    n: int = 0


@event("play.ended", key="key")
@dataclass(frozen=True)
class Ended:
    key: str
    text: str = ""


effects: list[tuple[str, str]] = []


async def unset(result: str, key: str, n: int) -> None:
    effects.append((f"unset {n}", idempotency_key()))


@step(retries=2, undo=unset)
async def set_prop(key: str, n: int) -> str:
    effects.append((f"set {n}", idempotency_key()))
    return f"{key}{n}"


@step(retries=2)
def light(key: str, n: int) -> int:
    effects.append((f"light {n}", idempotency_key()))
    return n


@transaction
def book(db: Connection, key: str) -> int:
    db.execute("insert into seat (key) values (?)", (key,))
    return len(list(db.execute("select 1 from seat where key = ?", (key,))))


def chain(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Hop:
        return Hop(e.key, 1)

    @house.on(Hop)
    async def hop(e: Hop) -> Hop | Ended:
        if e.n == 2:
            await light(e.key, e.n)
        return Hop(e.key, e.n + 1) if e.n < 4 else Ended(e.key)


def fan(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> tuple[Hop, Hop, Hop]:
        return Hop(e.key, 1), Hop(e.key, 2), Hop(e.key, 3)

    def listener(n: int) -> None:
        @house.on(Hop, name=f"hear{n}")
        async def hear(e: Hop) -> None:
            await light(e.key, 10 * e.n + n)

    for n in range(3):
        listener(n)

    @house.on(Hop)
    async def close(e: Hop) -> Ended | None:
        return Ended(e.key) if e.n == 3 else None


def money(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Ended:
        await set_prop(e.key, 0)
        seats = await book(e.key)
        await light(e.key, seats)
        return Ended(e.key, str(seats))


def waiting(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Ended:
        await light(e.key, 0)
        first = await wait(Cue, timeout="1h")
        await light(e.key, 1)
        second = await wait(Cue)
        return Ended(e.key, f"{first.n} {second.n}")


def late(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Ended:
        try:
            await wait(Cue, timeout="1h")
        except TimeoutError:
            await light(e.key, 0)
            return Ended(e.key, "late")
        return Ended(e.key, "in time")


def sleeping(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Ended:
        await light(e.key, 0)
        await sleep("2h")
        await light(e.key, 1)
        return Ended(e.key)


def midway(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Hop | Ended:
        await emit(Hop(e.key, 4))
        await light(e.key, 0)
        await emit(Hop(e.key, 5))
        return Ended(e.key)

    @house.on(Hop)
    async def hear(e: Hop) -> None:
        await light(e.key, e.n)


def rejecting(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Ended:
        await set_prop(e.key, 0)
        await set_prop(e.key, 1)
        raise Reject("no audience")


def branching(house: Service) -> None:
    @house.on(Begun)
    async def start(e: Begun) -> Ended:
        n, cue, prop, seats = await asyncio.gather(
            light(e.key, 0), wait(Cue, timeout="1h"), set_prop(e.key, 1), book(e.key)
        )
        await light(e.key, 2)
        return Ended(e.key, f"{n} {cue.n} {prop} {seats}")


@dataclass(frozen=True)
class Scene:
    """A choreography, what comes from outside, and which effects there must be."""

    handlers: Callable[[Service], None]
    effects: frozenset[str]
    text: str | None
    cues: int = 0
    advance: str | None = None

    async def play(self, sim: Sim) -> None:
        effects.clear()
        await sim.emit(Begun("a"))
        for n in range(self.cues):
            await sim.settle()
            check_accounts(sim)
            await sim.emit(Cue("a", n + 1))
        await sim.settle()
        check_accounts(sim)
        if self.advance is not None:
            await sim.advance(self.advance)
        check_settled(sim)
        assert {what for what, _ in effects} == self.effects
        keys = Counter(what for what, _ in set(effects))
        assert set(keys.values()) <= {1}, f"an effect under two idempotency keys: {keys}"
        ended = [ended.text for ended in sim.emitted(Ended)]
        assert ended == ([] if self.text is None else [self.text]), sim.history("a")


SCENES = {
    "a chain of hops": Scene(chain, frozenset({"light 2"}), ""),
    "a fan-out": Scene(fan, frozenset(f"light {10 * hop + n}" for hop in (1, 2, 3) for n in range(3)), ""),
    "an undoable step and a transaction": Scene(money, frozenset({"set 0", "light 1"}), "1"),
    "waits that are answered": Scene(waiting, frozenset({"light 0", "light 1"}), "1 2", cues=2),
    "a wait that times out": Scene(late, frozenset({"light 0"}), "late", advance="2h"),
    "a sleep": Scene(sleeping, frozenset({"light 0", "light 1"}), "", advance="3h"),
    "events in the middle": Scene(midway, frozenset({"light 0", "light 4", "light 5"}), ""),
    "a rejection": Scene(rejecting, frozenset({"set 0", "set 1", "unset 1", "unset 0"}), None),
    "branches": Scene(branching, frozenset({"light 0", "light 2", "set 1"}), "0 1 a1 1", cues=1),
}


def app_of(scene: Scene) -> App:
    house = Service("house", tables="create table if not exists seat (key text)")
    scene.handlers(house)
    process = Process("play", starts=Begun, done=Ended, external=[Cue], owner=house)
    return App(house, process)


@pytest.fixture(params=[512, 1], ids=["fused", "one by one"])
def fusion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a turn of one delivery, every hop is a batch of its own: more places to die at."""
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", request.param)


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_a_crash_at_any_commit_loses_nothing_and_doubles_nothing(
    scene: Scene, fusion: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = watch_steps(monkeypatch)
    points = asyncio.run(Sim(app_of(scene), seed=1).every_crash(scene.play))
    assert points >= 2
    assert not repeated, f"steps ran again after their results were durable: {repeated}"


async def crash_twice(app: App, play: Callable[[Sim], Awaitable[None]]) -> None:
    """Die at every commit, and once more at the commit after it: in the middle of recovery."""
    batch = 1
    while True:
        async with Sim(app, seed=2) as sim:
            sim.world.kills_at = {(batch, "after"), (batch + 1, "before"), (batch + 2, "after")}
            await play(sim)
            if not sim.world.kills:
                return
        batch += 1


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_a_crash_during_recovery_loses_nothing_and_doubles_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", 1)
    repeated = watch_steps(monkeypatch)
    asyncio.run(crash_twice(app_of(scene), scene.play))
    assert not repeated, f"steps ran again after their results were durable: {repeated}"
