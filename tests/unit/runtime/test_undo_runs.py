"""Undo runs: durable executions of Onstage's own handler."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Placed, playing
from tests.unit.runtime.shop_undone import WHOLE, undone_shop

from onstage.core.journal import Undone
from onstage.core.undoing import UNDO
from onstage.events.codec import DecodeFailed
from onstage.events.receipt import Status
from onstage.runtime.undo_runs import Order, decode_order


def test_each_segment_is_undone_by_one_execution_of_its_process() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did)) as house:
            process = await house.emit(Placed("o1", -1))
            await process.verdict(timeout=5)
            events = await house.events(UNDO)
            number = house.node.numbers.identity.local(process.id) or 0
            assert [event.process for event in events] == [number, number]
            runs = [await house.stored(event.n << 16 | house.node.waves.runs.reaction.number) for event in events]
            assert [Status(run.execution.status) for run in runs] == [Status.DONE] * 2
            assert [run.entries for run in runs] == [(Undone("undo/money#0"),), (Undone("undo/shelf#0"),)]
            view = await house.node.store.reader.process(number)
            assert view is not None
            assert (view.open, view.digest) == (0, 0)

    asyncio.run(story())
    assert did == WHOLE


def test_what_is_no_order_is_refused() -> None:
    assert decode_order(b'{"execution": 9, "segment": 1}') == Order(9, 1)
    with pytest.raises(DecodeFailed, match="an undo"):
        decode_order(b"{}")
