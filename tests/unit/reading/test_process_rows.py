"""Processes as rows, read without the command line around it."""

import asyncio
from typing import Any

import pytest

from onstage.reading.process_rows import find_process, find_processes, root_of, row_of
from onstage.reading.store_file import looking_at


async def rows(tiny: Any, **wanted: Any) -> list[Any]:
    with looking_at(tiny.store) as store:
        return [await row_of(store, view, 0) async for view in find_processes(store, **wanted)]


def test_rows_say_where_each_process_is_the_newest_first(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000))
    found = asyncio.run(rows(tiny))
    assert [(row.key, row.verdict) for row in found] == [("o2", "waiting"), ("o1", "completed")]
    assert "order-approved" in found[0].now
    assert [row.key for row in asyncio.run(rows(tiny, open_only=True))] == ["o2"]
    assert [row.key for row in asyncio.run(rows(tiny, key="o1"))] == ["o1"]


def test_a_process_is_found_by_key_and_by_public_id_and_its_root_is_known(tiny: Any) -> None:
    tiny.play(("o1", 5))

    async def found() -> None:
        with looking_at(tiny.store) as store:
            view = await find_process(store, "o1")
            assert (await find_process(store, view.wire_id)).id == view.id
            assert await root_of(store, view) == ("order-placed", "o1")
            with pytest.raises(LookupError, match="nowhere"):
                await find_process(store, "nowhere")

    asyncio.run(found())
