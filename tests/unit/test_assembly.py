"""What runs an application is put together by the URL of its store."""

import asyncio
from pathlib import Path

import pytest

from onstage.assembly import stage_on
from onstage.contracts.service import Service


@pytest.mark.parametrize(("name", "transactions"), [(None, False), ("shop.db", True)])
def test_a_path_is_an_sqlite_file_and_none_is_memory(tmp_path: Path, name: str | None, transactions: bool) -> None:
    async def story() -> None:
        path = None if name is None else tmp_path / name
        async with stage_on(path, [Service("shop")], [], synchronous="FULL", client_only=False) as stage:
            assert stage.is_node
            assert stage._node.store.features.transactions is transactions  # type: ignore[union-attr]  # noqa: SLF001
        assert (tmp_path / "shop.db").exists() is (name is not None)

    asyncio.run(story())


def test_a_client_of_a_file_without_a_node_holds_it_and_runs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "shop.db"
        async with stage_on(path, [Service("shop")], [], synchronous="FULL", client_only=True) as stage:
            assert not stage.is_node
            assert not stage.has_node

    asyncio.run(story())
