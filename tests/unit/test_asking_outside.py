"""Asking and starting from outside: at a node, and through its door."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.runtime.playhouse import Approved, Placed, playing

from onstage import App, Reject, Request, Service, connect, event, wait
from onstage.errors import AskFailed, DuplicateId, InvalidEvent, UsageError
from onstage.state import state


@event("outside.get", key="id")
@dataclass(frozen=True)
class Get(Request[list[int]]):
    id: str


@dataclass(frozen=True)
class Unmarked(Request[int]):
    """Somebody forgot @event."""

    number: int


def shop() -> Service:
    service = Service("shop")

    @service.answers
    async def get(q: Get) -> list[int]:
        if q.id == "bad":
            raise Reject("no such thing")
        if q.id == "slow":
            await wait(Approved)
        return [len(q.id)]

    @service.workflow
    async def fulfil(order: dict[str, int]) -> int:
        state["seen"] = sorted(order)
        if not order:
            await wait(Approved)
        return sum(order.values())

    return service


def test_asking_at_a_node() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            assert await house.stage.ask(Get("abc")) == [3]
            with pytest.raises(AskFailed, match=r"outside.get was rejected: no such thing"):
                await house.stage.ask(Get("bad"))
            with pytest.raises(TimeoutError):
                await house.stage.ask(Get("slow"), timeout="10ms")
            with pytest.raises(UsageError, match="it is no request"):
                await house.stage.ask(Placed("o1"))  # type: ignore[arg-type]
            with pytest.raises(UsageError, match="Unmarked is based on Request, and is no event"):
                await house.stage.ask(Unmarked(1))

    asyncio.run(story())


def test_the_same_id_is_the_same_request_and_another_payload_is_refused() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            assert await house.stage.ask(Get("abc"), id="1") == await house.stage.ask(Get("abc"), id="1")
            assert len(await house.events("outside.get")) == 1
            with pytest.raises(DuplicateId):
                await house.stage.ask(Get("other"), id="1")

    asyncio.run(story())


def test_a_start_is_idempotent_by_id_also_after_its_end() -> None:
    async def story() -> None:
        service = shop()
        fulfil = service.handlers[1]
        async with playing(service) as house:
            first = await house.stage.start(fulfil, {"a": 1}, id="o1")
            assert await first.result(timeout=5) == 1
            again = await house.stage.start(fulfil, {"a": 1}, id="o1")
            assert again.id == first.id
            assert await again.result(timeout=5) == 1
            with pytest.raises(DuplicateId, match="was started with id o1 before, with another input"):
                await house.stage.start(fulfil, {"a": 2}, id="o1")
            other = await house.stage.start(fulfil, {"a": 1})
            assert other.id != first.id
            assert len(await house.events("onstage.start/shop.fulfil")) == 2
            with pytest.raises(UsageError, match="it is no workflow"):
                await house.stage.start(service.handlers[0], Get("a"))
            with pytest.raises(InvalidEvent):
                await house.stage.start(fulfil, {"a": object()})
            with pytest.raises(LookupError):
                await house.stage.state_of("nothing-x-99", "shop.fulfil")

    asyncio.run(story())


def test_a_client_asks_and_starts_through_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    service = shop()
    app, url, fulfil = App(service), f"sqlite:///{tmp_path / 'shop.db'}", service.handlers[1]

    async def story() -> None:
        async with app.run(url), connect(url, app) as client:
            assert await client.ask(Get("abc"), timeout=5) == [3]
            with pytest.raises(AskFailed, match="no such thing"):
                await client.ask(Get("bad"), timeout=5)
            with pytest.raises(TimeoutError):
                await client.ask(Get("slow"), timeout="10ms")
            handle = await client.start(fulfil, {}, id="o1")
            with pytest.raises(TimeoutError):
                await handle.result(timeout="10ms")
            assert await handle.state() == {"seen": []}
            assert "is cancelled" in await handle.cancel()
            with pytest.raises(AskFailed, match="cancelled"):
                await handle.result(timeout=5)
            with pytest.raises(UsageError, match="is cancelled"):
                await handle.cancel()

    asyncio.run(story())


def test_what_a_client_started_alone_is_answered_when_a_node_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    service = shop()
    app, url, fulfil = App(service), f"sqlite:///{tmp_path / 'shop.db'}", service.handlers[1]

    async def story() -> None:
        async with connect(url, app) as client:
            handle = await client.start(fulfil, {"a": 4}, id="o1")
            waiting = asyncio.ensure_future(handle.result(timeout=20))
            doomed = await client.start(fulfil, {}, id="o2")
            assert "before it began" in await doomed.cancel()
            async with app.run(url):
                assert await waiting == 4
                with pytest.raises(AskFailed, match="cancelled"):
                    await doomed.result(timeout=5)

    asyncio.run(story())
