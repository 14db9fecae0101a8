"""A stage whose store changes hands: its node is gone, a client holds the store, a node is there again."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.test_stage import APP, Approved, Placed, completed, typed

import onstage.assembly as assembly_module
import onstage.stage as stage_module
from onstage import connect
from onstage.errors import StoreUnavailable
from onstage.runtime import remote_door
from onstage.runtime.door_messages import Emit, Request
from onstage.runtime.local_door import LocalDoor
from onstage.stage import Stage


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(remote_door, "ATTEMPT_PAUSE_S", 0.01)
    return f"sqlite:///{tmp_path}/shop.db"


@pytest.mark.parametrize("become", ["run", "connect"])
def test_a_client_whose_node_is_gone_stores_events_itself_until_a_node_is_there_again(url: str, become: str) -> None:
    async def story() -> None:
        first = APP.run(url)
        await first.__aenter__()
        async with APP.run(url) if become == "run" else connect(url, APP) as client:
            await completed_now(client, "o1")
            await first.__aexit__(None, None, None)
            process = await client.emit(Placed("o2"), id="place-2")
            assert (await client.emit(Placed("o2"), id="place-2")).id == process.id
            assert (client.is_node, client.has_node) == (False, False)
            assert (await process.verdict()).status == "running"
            async with APP.run(url) as second:
                assert second.is_node
                assert str(await process.verdict(timeout=10)) == "completed (stage.paid)"
                await completed_now(client, "o3")
                assert (await second.emit(Placed("o2"), id="place-2")).id == process.id
                assert client.has_node
            await client.emit(Placed("o4"))  # and once more
            assert not client.has_node
        async with APP.run(url) as third:
            await completed(third, "o4")
            each = [f"{what} o{number}" for what in ("stage.paid", "stage.placed") for number in range(1, 5)]
            assert await typed(third) == each

    asyncio.run(story())


async def completed_now(stage: Stage, key: str) -> None:
    assert str(await (await stage.emit(Placed(key))).verdict(timeout=10)) == "completed (stage.paid)"


@pytest.mark.parametrize("id", [None, ""])
def test_an_event_whose_answer_was_lost_is_recognised_when_the_client_stores_it_itself(
    url: str, monkeypatch: pytest.MonkeyPatch, id: str | None
) -> None:
    async def story() -> None:
        stored = asyncio.Event()
        do = LocalDoor._do  # noqa: SLF001

        async def mute(door: LocalDoor, request: Request) -> object:
            answer = await do(door, request)
            if isinstance(request, Emit):
                stored.set()
                await asyncio.get_running_loop().create_future()
            return answer

        node = APP.run(url)
        await node.__aenter__()
        async with connect(url, APP) as client:
            monkeypatch.setattr(LocalDoor, "_do", mute)
            sent = [asyncio.create_task(client.emit(Placed(f"o{n}"), id=id)) for n in range(5)]
            await stored.wait()
            await node.__aexit__(None, None, None)
            processes = await asyncio.gather(*sent)
            assert len({process.id for process in processes}) == 5
            assert [each for each in await typed(client) if "placed" in each] == [
                f"stage.placed o{n}" for n in range(5)
            ]

    asyncio.run(story())


def test_a_wait_for_a_verdict_outlives_the_node_and_goes_on_at_the_next(url: str) -> None:
    async def story() -> None:
        first = APP.run(url)
        await first.__aenter__()
        async with connect(url, APP) as client:
            process = await client.emit(Placed("o1", "wait"))
            waiting = asyncio.create_task(process.verdict(timeout=30))
            await process.verdict()
            await first.__aexit__(None, None, None)
            await client.emit(Approved("o1"))  # by now the client has the store
            assert not client.has_node
            assert not waiting.done()
            async with APP.run(url):
                assert str(await waiting) == "completed (stage.paid)"

    asyncio.run(story())


def test_a_node_gets_the_store_from_a_client_that_was_quicker_at_the_lock(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = stage_module.call_when_running, []

    async def not_yet(path: Path) -> object:
        looks.append(path)
        return None if len(looks) == 2 else await look(path)

    monkeypatch.setattr(stage_module, "call_when_running", not_yet)
    monkeypatch.setattr(assembly_module, "LOCK_WAIT_S_MAX", 0.0)

    async def story() -> None:
        async with connect(url, APP) as client:
            await client.emit(Placed("o1"))
            monkeypatch.setattr(assembly_module, "LOCK_WAIT_S_MAX", 0.05)
            await asyncio.sleep(0)
            async with APP.run(url) as node:
                assert node.is_node
                await completed(node, "o1")

    asyncio.run(story())
    assert len(looks) == 3


def test_a_request_under_way_when_its_stage_is_left_is_told_so(url: str) -> None:
    async def story() -> None:
        async with APP.run(url) as node:
            client = connect(url, APP)
            await client.__aenter__()
            process = await client.emit(Placed("o1", "wait"))
            waiting = asyncio.create_task(process.verdict(timeout=30))
            await process.verdict()
            await client.__aexit__(None, None, None)
            with pytest.raises(StoreUnavailable, match="this stage was left"):
                await waiting
            assert node.is_node

    asyncio.run(story())
