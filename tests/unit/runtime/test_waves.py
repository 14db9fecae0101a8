"""Who decides that a process is undone, what stops, and what is said of it: on a memory store."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, memory, playing
from tests.unit.runtime.shop_undone import WHOLE, undone_shop

from onstage import Service
from onstage.core.commit import Commit
from onstage.core.undoing import PIVOTED, Undoing, decode_undoing, first_row
from onstage.errors import UsageError
from onstage.events.receipt import Status


@pytest.mark.parametrize(("amount", "reason"), [(-1, "shop.refused"), (0, "till.take rejected: nothing to pay")])
def test_a_failed_outcome_and_a_rejection_decide(amount: int, reason: str) -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did)) as house:
            assert str(await house.settled(Placed("o1", amount))) == f"compensated: {reason}"
            (row,) = await house.node.store.reader.waves()
            assert (row.version, row.state) == (2, "compensated")
            assert decode_undoing(row.body).reason == reason

    asyncio.run(story())
    assert did == WHOLE


def test_nothing_is_undone_where_nobody_asks_for_it() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did, undo=False)) as house:
            assert str(await house.settled(Placed("o1", -1))) == "completed (shop.refused)"
            assert not house.node.waves.is_watchful
            assert await house.node.store.reader.waves() == []

    asyncio.run(story())
    assert did == WHOLE[:2]


def test_what_waits_is_stopped_without_its_handler_seeing_anything() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did, undo=False)) as house:
            process = await house.emit(Placed("o1", 10))
            await house.until_verdict(process, "waiting")
            number = house.node.numbers.identity.local(process.id) or 0
            assert "is being undone" in await house.node.waves.request(number, "by hand")
            verdict = await process.verdict(timeout=5)
            assert str(verdict) == "compensated: by hand"
            views = await house.node.store.reader.executions(process=number)
            taken = next(view for view in views if view.handler == "till.take")
            assert Status(taken.status) is Status.CANCELLED
            assert taken.error == "its process is undone: by hand"

    asyncio.run(story())
    assert did == WHOLE


def test_a_cancel_comes_after_a_pivot_and_is_refused_with_its_reason() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did)) as house:
            process = await house.emit(Placed("o1", 10))
            await house.until_verdict(process, "waiting")
            node, number = house.node, house.node.numbers.identity.local(process.id) or 0
            row = first_row(number, PIVOTED, Undoing("the train has left", 1))
            position = node.append(Commit(epoch=node.epoch, waves=(row,)), None)
            node.store.flush()
            await node.store.durable(position)
            with pytest.raises(UsageError, match=r"has passed its pivot(.|\n)*the train has left"):
                await node.waves.request(number, "by hand")
            await house.emit(Approved("o1"))
            assert (await process.verdict(timeout=5)).status == "completed"

    asyncio.run(story())
    assert did == WHOLE[:2]


def test_whoever_asks_at_the_same_time_decides_once() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did)) as house:
            process = await house.emit(Placed("o1", 10))
            await house.until_verdict(process, "waiting")
            number = house.node.numbers.identity.local(process.id) or 0
            told = await asyncio.gather(*(house.node.waves.request(number, f"hand {n}") for n in range(3)))
            assert sum("is being undone" in each for each in told) == 1
            assert str(await process.verdict(timeout=5)).startswith("compensated: hand")

    asyncio.run(story())
    assert did == WHOLE


def test_an_event_for_a_process_that_was_undone_is_skipped() -> None:
    did: list[str] = []

    async def story() -> None:
        store = memory()
        parts = undone_shop(did)
        async with playing(*parts, on=store) as house:
            process = await house.emit(Placed("o1", -1))
            await process.verdict(timeout=5)
        async with playing(*parts, on=store) as house:
            assert house.node.waves.stopped == {}, "what has ended is not read at a start"
            await house.emit(Paid("o1", "5"), process=process.id)
            await house.until(house.has_nothing_open)
            number = house.node.numbers.identity.local(process.id) or 0
            views = await house.node.store.reader.executions(process=number)
            assert [Status(view.status) for view in views if view.handler == "till.take"][-1] is Status.SKIPPED
            assert (await house.node.watch.verdict(number, 5, None)).status == "compensated"

    asyncio.run(story())
    assert did == WHOLE


def test_a_process_that_is_not_there_is_not_undone() -> None:
    async def story() -> None:
        async with playing(Service("shop")) as house:
            with pytest.raises(LookupError, match="there is no process 7"):
                await house.node.waves.request(7, "by hand")

    asyncio.run(story())
