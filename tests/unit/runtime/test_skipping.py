"""Skipping a step that is stuck: what it takes, what it says, and what it refuses."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, playing
from tests.unit.runtime.shop_undone import undone_shop

from onstage import Retry, Service, gather, step
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.runtime.skipping import execution_with, skip, skippable


def shop_of(did: list[str]) -> Service:
    shop = Service("shop")

    @step
    async def weigh(at: int) -> int:
        did.append(f"weigh {at}")
        if at:
            raise ConnectionError("the scales are broken")
        return at

    @step(retries=1)
    async def hoist(at: int) -> int:
        raise ConnectionError("the crane is broken")

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> Paid:
        if e.amount > 1:
            await gather(hoist(1), hoist(2))
        return Paid(e.id, str(await weigh(0) + await weigh(e.amount)))

    return shop


def test_a_dead_letter_goes_on_with_the_result_that_is_given_and_says_so_again() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(shop_of(did)) as house:
            process = await house.emit(Placed("o1", 1))
            await house.until_verdict(process, "stuck")
            node, view = house.node, await house.only_execution()
            stored = await node.store.reader.execution(view.id)
            assert stored is not None
            assert [each.step for each in await skippable(node.store.reader, stored)] == ["weigh#1"]
            number = await execution_with(node.store.reader, view.process, "weigh")
            assert number == view.id
            first = asyncio.ensure_future(skip(node, number, "weigh", b" 41 "))
            assert await first == await skip(node, number, "weigh#1", b"41")
            assert (await process.verdict(timeout=5)).is_final
            (paid,) = await house.events("shop.paid")
            assert b'"41"' in paid.data
            assert "counts as done" in await skip(node, number, "weigh#1", b"41")
            with pytest.raises(UsageError, match="no step weigh of execution"):
                await skip(node, number, "weigh", b"7")

    asyncio.run(story())
    assert did == ["weigh 0", "weigh 1"]


@pytest.mark.parametrize(
    ("named", "data", "said"),
    [
        ("weigh", None, "has no result"),
        ("weigh", b'"much"', "does not fit step weigh"),
        ("measure", b"1", "there is stuck: weigh#1"),
    ],
)
def test_what_cannot_be_said_is_refused_in_words(named: str, data: bytes | None, said: str) -> None:
    async def story() -> None:
        async with playing(shop_of([])) as house:
            process = await house.emit(Placed("o1", 1))
            await house.until_verdict(process, "stuck")
            view = await house.only_execution()
            with pytest.raises(UsageError, match=said):
                await skip(house.node, view.id, named, data)
            with pytest.raises(UsageError, match="there is no execution 99"):
                await skip(house.node, 99, named, data)
            with pytest.raises(UsageError, match="no step nothing of this process"):
                await execution_with(house.node.store.reader, view.process, "nothing")

    asyncio.run(story())


def test_two_steps_of_one_name_are_told_apart_by_their_positions() -> None:
    async def story() -> None:
        async with playing(shop_of([])) as house:
            process = await house.emit(Placed("o1", 2))
            await house.until_verdict(process, "stuck")
            number = (await house.only_execution()).id
            with pytest.raises(UsageError, match=r"hoist stands for 2 steps(.|\n)*name hoist#0, hoist#1"):
                await skip(house.node, number, "hoist", b"1")
            await skip(house.node, number, "hoist#0", b"1")
            await house.until_verdict(process, "stuck")
            await skip(house.node, number, "hoist", b"2")
            await house.until_verdict(process, "stuck")
            assert "weigh#1" in await skip(house.node, number, "weigh", b"41")
            assert (await process.verdict(timeout=5)).is_final

    asyncio.run(story())


def test_an_undo_that_waits_for_its_next_attempt_is_skipped() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did, fails=lambda what: what == "shelf")) as house:
            process = await house.emit(Placed("o1", -1))

            async def retries() -> bool:
                return bool(await house.executions(Status.RETRYING))

            await house.until(retries)
            number = house.node.numbers.identity.local(process.id) or 0
            execution = await execution_with(house.node.store.reader, number, "shelf")
            assert await skip(house.node, execution, "shelf", None) == "the undo of step shelf#0 counts as done"
            assert str(await process.verdict(timeout=5)) == "compensated: shop.refused"

    asyncio.run(story())
    assert did == ["+shelf", "+money", "-money o1"]
