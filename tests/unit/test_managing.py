"""Acting on handlers through a stage: from another process, the node does it."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.runtime.playhouse import Placed, playing
from tests.unit.runtime.test_subscriptions import at_rest, counting

from onstage import App, connect
from onstage.errors import UsageError


def test_a_client_has_the_node_replay_and_hears_its_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    seen: list[str] = []
    url = f"sqlite:///{tmp_path / 'shop.db'}"

    async def story() -> None:
        app = App(counting(seen))
        async with app.run(url) as stage, connect(url, app) as client:
            await (await client.emit(Placed("a"))).verdict(timeout=5)
            assert (await client.replay("shop.count"))["events"] == 1
            with pytest.raises(UsageError, match="declares it"):
                await client.retire("shop.count", dry_run=True)
            assert stage.is_node

    asyncio.run(story())
    assert seen[:1] == ["a"]


def test_without_a_node_it_is_noted_and_the_next_node_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    seen: list[str] = []
    url = f"sqlite:///{tmp_path / 'shop.db'}"

    async def story() -> None:
        app = App(counting(seen))
        async with app.run(url) as stage:
            await (await stage.emit(Placed("a"))).verdict(timeout=5)
        async with connect(url, app) as client:
            assert (await client.replay("shop.count"))["handler"] == "shop.count@1"
        assert seen == ["a"]
        async with playing(counting(seen), on=tmp_path / "shop.db") as house:
            await at_rest(house)

    asyncio.run(story())
    assert seen == ["a", "a"]
