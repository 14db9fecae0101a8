"""A store whose payloads are sealed: the same promises, nothing readable in the file, and keys that come and go."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.aes_codec import Aes
from tests.scenario.sim_checks import check_settled
from tests.unit.runtime import troupe
from tests.unit.runtime.playhouse import Placed

from onstage import App, Process, Service, event, step, transaction, wait
from onstage.brokers.sealed_broker import SealedBroker
from onstage.durable import CompletedElsewhere, completion_token, heartbeat, last_heartbeat
from onstage.errors import UsageError
from onstage.ports.store import Connection
from onstage.runtime.node import Node
from onstage.state import state
from onstage.stores.sealed_store import SealedStore
from onstage.testing import Sim

SECRET = "4929-0000"


K1, K2 = bytes(32), bytes(range(32))


@event("safe.opened", key="key")
@dataclass(frozen=True)
class Opened:
    key: str
    card: str


@event("safe.confirmed", key="key")
@dataclass(frozen=True)
class Confirmed:
    key: str
    card: str


@event("safe.closed", key="key")
@dataclass(frozen=True)
class Closed:
    key: str
    said: tuple[str, ...]


safe = Service("safe", tables="CREATE TABLE IF NOT EXISTS safe_count (n INTEGER);")
tokens: list[str] = []


def put_back(result: str, card: str) -> None: ...


@step(undo=put_back, retries=2, heartbeat_timeout="1h")
def take(card: str) -> str:
    earlier = last_heartbeat(str)
    heartbeat(card)
    if earlier is None:
        raise ConnectionError("once more")
    return f"took {card}"


@step(completion_timeout="1h")
def ask(key: str) -> str:
    tokens.append(completion_token())
    raise CompletedElsewhere


@transaction
def count(db: Connection, card: str) -> str:
    db.execute("INSERT INTO safe_count VALUES (1)")
    return f"counted {card}"


@safe.on(Opened)
async def open_safe(e: Opened) -> Closed:
    kept = await state(str, key=e.key, name="card")
    kept.set(e.card)
    said = [await take(e.card), await count(e.card), await ask(e.key)]
    confirmed = await wait(Confirmed)
    return Closed(e.key, (*said, confirmed.card, kept.get("nothing")))


order = Process("safe", starts=Opened, done=Closed, external=[Confirmed])
SAID = (f"took {SECRET}", f"counted {SECRET}", f"done {SECRET}", SECRET, SECRET)


def app(**keys: bytes) -> App:
    return App(safe, order, codec=Aes(keys))


async def scene(sim: Sim) -> None:
    tokens.clear()
    await sim.emit(Opened("k", SECRET), id="k")
    await sim.settle()
    await sim.complete(tokens[-1], f"done {SECRET}")
    await sim.settle()
    await sim.emit(Confirmed("k", SECRET), id="c")
    await sim.settle()
    check_settled(sim)
    assert [closed.said for closed in sim.emitted(Closed)] == [SAID]
    path = sim.world.path
    stored = b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))
    assert len(stored) > 10_000
    assert SECRET.encode() not in stored


def test_nothing_in_the_file_can_be_read_wherever_the_node_dies() -> None:
    async def play() -> int:
        return await Sim(app(k1=K1), seed=1).every_crash(scene)

    assert asyncio.run(play()) >= 12


def test_without_a_codec_it_could() -> None:
    """So the test before would notice."""

    async def play() -> None:
        async with Sim(App(safe, order), seed=1) as sim:
            await scene(sim)

    with pytest.raises(AssertionError, match="4929-0000"):
        asyncio.run(play())


async def until_waiting(path: Path, made: App) -> None:
    tokens.clear()
    async with made.run(f"sqlite:///{path}") as stage:
        process = await stage.emit(Opened("k", SECRET), id="k")
        while not tokens or (await process.verdict()).status != "waiting":
            await process.verdict(timeout=0.02)
        await stage.complete(tokens[-1], f"done {SECRET}")
        while not await waits_for_mail(stage):
            await process.verdict(timeout=0.02)


async def waits_for_mail(stage: Any) -> bool:
    async with stage.reading() as reader:
        views = await reader.executions()
    return [view.waits for view in views] == [("safe.confirmed",)]


async def finished(path: Path, made: App) -> Any:
    async with made.run(f"sqlite:///{path}") as stage:
        async with stage.reading() as reader:
            aside = [view.id for view in await reader.executions() if view.error]
        for execution in aside:
            await stage.operate("retry", execution)
        process = await stage.emit(Confirmed("k", SECRET), id="c")
        verdict = await process.verdict(timeout="10s")
        async with stage.reading() as reader:
            (closed,) = await reader.events(type="safe.closed")
        return verdict.outcome, closed.data


def test_a_new_key_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "safe.db"

    async def play() -> Any:
        await until_waiting(path, app(k1=K1))
        return await finished(path, app(k1=K1, k2=K2))

    outcome, data = asyncio.run(play())
    assert outcome == "safe.closed"
    assert data.count(SECRET.encode()) == len(SAID)


async def stuck(path: Path, made: App) -> str:
    """Why the execution is set aside when its event comes while this app runs."""
    async with made.run(f"sqlite:///{path}") as stage:
        process = await stage.emit(Confirmed("k", SECRET), id="c")
        while (await process.verdict()).status != "stuck":
            await process.verdict(timeout=0.02)
        async with stage.reading() as reader:
            (view,) = await reader.executions()
    return view.error or ""


def test_what_lacks_its_key_is_set_aside_and_goes_on_with_it(tmp_path: Path) -> None:
    path = tmp_path / "safe.db"

    async def play() -> tuple[str, Any]:
        await until_waiting(path, app(k1=K1))
        return await stuck(path, app(k2=K2)), await finished(path, app(k1=K1, k2=K2))

    why, (outcome, _) = asyncio.run(play())
    assert "the key k1 is missing" in why
    assert "to do: give the codec that key again" in why
    assert outcome == "safe.closed"


def test_another_key_of_that_name_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "safe.db"

    async def play() -> str:
        await until_waiting(path, app(k1=K1))
        return await stuck(path, app(k1=K2))

    assert "does not open" in asyncio.run(play())


def test_a_codec_that_does_not_work_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    class Forgetful(Aes):
        def decrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
            return b"something else"

    async def enter(made: App) -> None:
        async with made.run(f"sqlite:///{tmp_path / 'safe.db'}"):
            raise AssertionError("it may not open")

    with pytest.raises(UsageError, match="the codec does not work"):
        asyncio.run(enter(App(safe, order, codec=Forgetful({"k1": K1}))))


async def apart(monkeypatch: pytest.MonkeyPatch, codec: Any) -> tuple[str | None, list[bytes]]:
    """The outcome of an order whose services run apart, as an observer without a key says it; and the whole log."""

    def sealed(*parts: Any, store: Any, broker: Any, **options: Any) -> Node:
        if codec is not None:
            store, broker = SealedStore(store, codec), SealedBroker(broker, codec)
        return Node(*parts, store=store, broker=broker, **options)

    monkeypatch.setattr(troupe, "Node", sealed)
    async with troupe.touring() as play:
        verdicts = [
            await play.verdict(await play.emit("shop", Placed(SECRET))),
            await play.verdict(await play.emit("post", Placed(f"{SECRET} by another"))),
        ]
        assert {verdict.outcome for verdict in verdicts} == {"shop.paid"}
        return verdicts[0].outcome, [message.data for message in play.messages("evt.")]


def test_services_apart_publish_nothing_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, log = asyncio.run(apart(monkeypatch, Aes({"k1": K1})))
    assert outcome == "shop.paid"
    assert len(log) >= 6
    assert not any(SECRET.encode() in data for data in log)
    _, readable = asyncio.run(apart(monkeypatch, None))
    assert any(SECRET.encode() in data for data in readable)
