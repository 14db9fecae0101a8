"""Forking on a node, through its door, and of payloads that are sealed."""

import asyncio
from pathlib import Path

import pytest
from tests.scenario.aes_codec import Aes
from tests.unit.runtime.playhouse import Approved, playing

from onstage import App, Service, connect, step, wait
from onstage.core.fork import FORKED, forks_in
from onstage.errors import DuplicateId, UsageError
from onstage.runtime import forking
from onstage.runtime.forking import forks_of, refuse_if_forked

ran: list[str] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    ran.clear()


@step
async def work(name: str) -> str:
    ran.append(name)
    return f"{name}!"


def shop() -> Service:
    service = Service("shop")

    @service.workflow
    async def fulfil(order: str) -> str:
        return await work(order) + await work("twice")

    @service.workflow
    async def slow(order: str) -> str:
        await wait(Approved)
        return order

    return service


@pytest.mark.parametrize("is_file", [False, True], ids=["memory", "file"])
def test_a_fork_has_a_process_a_result_and_a_key_like_the_original(tmp_path: Path, is_file: bool) -> None:
    async def story() -> None:
        service = shop()
        async with playing(service, on=tmp_path / "shop.db" if is_file else None) as house:
            first = await house.stage.start(service.handlers[0], "a", id="o1")
            assert await first.result(timeout=5) == "a!twice!"
            fork = await first.fork("work#1", id="f")
            assert (await first.fork("work#1", id="f")).id == fork.id != first.id
            assert await fork.result(timeout=5) == "a!twice!"
            assert ran == ["a", "twice", "twice"]
            assert (await house.stage.process("o1")).id == fork.id
            with pytest.raises(DuplicateId):
                await first.fork("work#0", id="f")
            with pytest.raises(DuplicateId):
                await house.stage.start(service.handlers[0], "a", id="f")
            unnamed = {(await first.fork("end")).id, (await first.fork("end")).id}
            number = int(first.id.rpartition("-")[2])
            view = (await house.node.store.reader.executions(process=number))[0]
            assert unnamed < set(await forks_of(house.node.store.reader, view.id))
            (note,) = await house.node.store.reader.notes(FORKED)
            assert (note.number, forks_in(note.body)[0]) == (view.id, fork.id)
            assert await forks_of(house.node.store.reader, view.id - 1) == []
            with pytest.raises(UsageError, match="cannot be retried"):
                await refuse_if_forked(house.node, view.id, "retried")
            await refuse_if_forked(house.node, view.id - 1, "retried")

    asyncio.run(story())


def test_one_execution_is_forked_so_often_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "FORKS_MAX", 2)

    async def story() -> None:
        service = shop()
        async with playing(service) as house:
            first = await house.stage.start(service.handlers[0], "a")
            await first.result(timeout=5)
            forks = [await first.fork("end") for _ in range(2)]
            with pytest.raises(UsageError, match="was forked 2 times"):
                await first.fork("end")
            assert await forks[1].result(timeout=5) == "a!twice!"
            assert await (await forks[1].fork("end")).result(timeout=5) == "a!twice!"

    asyncio.run(story())


def test_forks_asked_for_at_once_under_one_id_are_one() -> None:
    async def story() -> None:
        service = shop()
        async with playing(service) as house:
            first = await house.stage.start(service.handlers[0], "a")
            await first.result(timeout=5)
            forks = await asyncio.gather(*(first.fork("work#1", id="f") for _ in range(5)))
            assert len({fork.id for fork in forks}) == 1
            assert await forks[0].result(timeout=5) == "a!twice!"
            assert ran == ["a", "twice", "twice"]

    asyncio.run(story())


def test_what_is_open_or_unknown_is_not_forked() -> None:
    async def story() -> None:
        service = shop()
        async with playing(service) as house:
            slow = await house.stage.start(service.handlers[1], "a")
            with pytest.raises(UsageError, match="it may still go on"):
                await slow.fork("end")
            with pytest.raises(LookupError):
                await house.stage.forked(house.node.numbers.identity.wire(77), "end", None)
            await slow.cancel()

    asyncio.run(story())


def test_a_client_forks_through_the_door_and_what_is_sealed_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    service = shop()
    app = App(service, codec=Aes({"k1": bytes(range(32))}))
    url = f"sqlite:///{tmp_path / 'shop.db'}"

    async def story() -> None:
        async with app.run(url), connect(url, app) as client:
            first = await client.start(service.handlers[0], "secret of mine", id="o1")
            assert await first.result(timeout=5) == "secret of mine!twice!"
            fork = await first.fork("work#1")
            assert await fork.result(timeout=5) == "secret of mine!twice!"
            assert ran == ["secret of mine", "twice", "twice"]
            with pytest.raises(UsageError, match="no such call"):
                await first.fork("nothing")
        assert b"secret of mine" not in (tmp_path / "shop.db").read_bytes()

    asyncio.run(story())


def test_a_client_that_holds_the_store_alone_forks_and_the_next_node_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    service = shop()
    app, url = App(service), f"sqlite:///{tmp_path / 'shop.db'}"

    async def story() -> None:
        async with app.run(url) as stage:
            first = await stage.start(service.handlers[0], "a", id="o1")
            await first.result(timeout=5)
        async with connect(url, app) as client:
            fork = await client.handle(service.handlers[0], first.id).fork("work#1", id="f")
            assert ran == ["a", "twice"]
            async with app.run(url):
                assert await fork.result(timeout=20) == "a!twice!"
        assert ran == ["a", "twice", "twice"]

    asyncio.run(story())


def test_a_process_of_which_a_run_was_forked_is_not_undone_by_hand() -> None:
    async def story() -> None:
        service = shop()
        async with playing(service) as house:
            first = await house.stage.start(service.handlers[0], "a", id="o1")
            other = await house.stage.start(service.handlers[0], "b", id="o2")
            await first.result(timeout=5)
            await other.result(timeout=5)
            fork = await first.fork("work#1", id="f")
            await fork.result(timeout=5)
            number, beside = (house.node.numbers.identity.local(each.id) or 0 for each in (first, other))
            with pytest.raises(UsageError, match="cannot be undone with its process"):
                await house.node.waves.request(number, "by hand", completed=True)
            assert "is being undone" in await house.node.waves.request(beside, "by hand", completed=True)

    asyncio.run(story())
