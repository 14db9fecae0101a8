"""Lanes that open: they stay open over a restart, and what comes next waits for the commit that opened them."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Approved, House, Placed, memory, playing
from tests.unit.runtime.test_dispatcher import Gates

from onstage import Retry, Service, sleep, step, wait
from onstage.core.commit import Commit
from onstage.events.receipt import Status
from onstage.runtime.frame import INSIDE_STEP


@pytest.mark.parametrize("after", ["runs", "is retried", "is set aside"])
def test_a_lane_that_was_let_go_of_is_not_taken_back_at_the_next_start(after: str) -> None:
    shop, gates = Service("shop"), Gates()
    pause = Retry(1) if after == "is set aside" else Retry(5, first="1h", most="1h")

    @step
    async def pass_by(name: str) -> None:
        await gates.pass_by(name)

    @shop.on(Placed, lane="until-wait", retry=pause)
    async def take(e: Placed) -> None:
        await sleep("1ms")
        if e.amount == 1 and after != "runs":
            raise ValueError(after)
        await pass_by(str(e.amount))

    async def story() -> None:
        store, status = memory(), {"is retried": Status.RETRYING, "is set aside": Status.PARKED}.get(after)
        async with playing(shop, on=store) as house:
            house.stage.drain_s = 0
            await house.emit(Placed("a", 1))
            if status is None:
                await gates.until_began("1")
                await house.node.settle_window()
            else:
                await house.until(lambda: has_one(house, status))
            store.abandon()
        gates.gate("2").set()
        async with playing(shop, on=store) as house:
            await house.settled(Placed("a", 2))
            assert (await house.only_execution()).id >> 16 == 1

    asyncio.run(story())


@pytest.mark.parametrize("end", ["it ends", "it waits", "it is set aside"])
def test_effects_of_the_next_in_a_lane_wait_for_the_commit_that_opened_it(end: str) -> None:
    """Else a crash could take that commit away, and the one before would have its effects after those of the next."""
    shop, opened, followed = Service("shop"), list[int](), list[int]()

    @step
    async def act() -> None:
        inside = INSIDE_STEP.get()
        assert inside is not None
        followed.append(inside[0].after)

    @shop.on(Placed, lane="until-wait", retry=Retry(1), on_failure="park")
    async def take(e: Placed) -> None:
        if e.amount == 2:
            await act()
        elif end == "it waits":
            await sleep("1h")
        elif end == "it is set aside":
            raise ValueError(end)

    async def story() -> None:
        async with playing(shop) as house:
            store = house.node.store
            plain = store.append

            def append(commit: Commit) -> int:
                position = plain(commit)
                if commit.execution >> 16 == 1:
                    opened.append(position)
                return position

            store.append = append  # type: ignore[method-assign]
            await asyncio.gather(house.emit(Placed("a", 1)), house.emit(Placed("a", 2)))
            await house.until(lambda: has_followed(followed))

    asyncio.run(story())
    assert opened[-1] <= followed[0]


@pytest.mark.parametrize("again", ["it waits", "it is ready"])
def test_a_dead_letter_that_was_retried_takes_no_lane_from_the_next_at_a_start(again: str) -> None:
    """1 and 2 were set aside and retried, 3 never was and is parked at its wait: 4 comes after 3 all the same."""
    shop, gates, began, ended = Service("shop"), Gates(), list[int](), list[int]()

    @shop.on(Placed, retry=Retry(1), on_failure="park")
    async def take(e: Placed) -> None:
        began.append(e.amount)
        if e.amount <= 2 and began.count(e.amount) == 1:
            raise ValueError("set aside")
        if e.amount == 3 or (e.amount == 1 and again == "it waits"):
            await wait(Approved)
        elif e.amount <= 2:
            await gates.pass_by(str(e.amount))
        ended.append(e.amount)

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            house.stage.drain_s = 0
            names = [(await house.emit(Placed("a", amount))).id for amount in (1, 2, 3, 4)]
            await house.until(lambda: has_one(house, Status.WAITING))
            for dead in await house.executions(Status.PARKED):
                await house.stage.operate("retry", dead.id)
            await gates.until_began("2")
            await (house.until(lambda: has_two_waiting(house)) if again == "it waits" else gates.until_began("1"))
            await house.node.settle_window()
            store.abandon()
        for amount in "12":
            gates.gate(amount).set()
        async with playing(shop, on=store) as house:
            one, two, three, four = [await house.stage.process(name) for name in names]
            assert (await two.verdict(timeout=5)).is_final
            if again == "it waits":
                await house.emit(Approved("a"), process=one)
            assert (await one.verdict(timeout=5)).is_final
            assert sorted(ended) == [1, 2]
            await house.emit(Approved("a"), process=three)
            assert (await four.verdict(timeout=5)).is_final

    asyncio.run(story())
    assert ended[2:] == [3, 4]


async def has_two_waiting(house: House) -> bool:
    return len(await house.executions(Status.WAITING)) == 2


async def has_followed(followed: list[int]) -> bool:
    return bool(followed)


async def has_one(house: House, status: Status) -> bool:
    return len(await house.executions(status)) == 1
