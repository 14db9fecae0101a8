"""Wait, sleep, emit, now, random, uuid, and what a step may ask: live, and again on replay."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Clock, House, Paid, Placed, Refused, memory, playing

from onstage import Process, Retry, Service, emit, sleep, step, wait
from onstage.errors import UsageError
from onstage.events.receipt import Status

HOUR_MS = 3_600_000


# --- wait -------------------------------------------------------------------------------------------------


def waiting_shop(**options: Any) -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        match await wait(Approved, Refused, **options):
            case Approved(by=by):
                return Paid(e.id, by)
            case Refused():
                return Paid(e.id, "nobody")

    return shop


async def paid(house: House) -> list[bytes]:
    return [event.data for event in await house.events("shop.paid")]


def test_a_wait_takes_an_event_that_comes_later_as_its_own_type() -> None:
    async def story() -> None:
        async with playing(waiting_shop()) as house:
            process = await house.emit(Placed("o1"))
            verdict = await house.until_verdict(process, "waiting")
            assert str(verdict) == "waiting: shop.take waits for shop.approved or shop.refused"
            await house.emit(Refused("o1"), process=process)
            await process.verdict(timeout=5)
            assert await paid(house) == [b'{"id":"o1","by":"nobody"}']

    asyncio.run(story())


def test_nothing_is_lost_when_the_event_came_before_the_wait() -> None:
    shop, gate = Service("shop"), asyncio.Event()

    @step
    async def slow() -> None:
        await gate.wait()

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await slow()
        return Paid(e.id, (await wait(Approved)).by)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.emit(Approved("o1", "ada"), process=process)
            gate.set()
            await process.verdict(timeout=5)
            assert await paid(house) == [b'{"id":"o1","by":"ada"}']
            assert house.node.numbers.waiting == {}

    asyncio.run(story())


def test_nothing_is_lost_when_the_event_comes_while_another_branch_is_running() -> None:
    shop, gate, began = Service("shop"), asyncio.Event(), asyncio.Event()

    @step
    async def slow() -> None:
        began.set()
        await gate.wait()

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        approved, _ = await asyncio.gather(wait(Approved), slow())
        return Paid(e.id, approved.by)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await began.wait()
            await house.emit(Approved("o1", "ada"), process=process)
            gate.set()
            await process.verdict(timeout=5)
            assert await paid(house) == [b'{"id":"o1","by":"ada"}']

    asyncio.run(story())


def test_each_event_is_taken_once_and_in_the_order_of_the_inbox() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        first, second = await wait(Approved), await wait(Approved)
        return Paid(e.id, first.by + second.by)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.emit(Approved("o1", "a"), process=process)
            await house.emit(Approved("o1", "b"), process=process)
            await process.verdict(timeout=5)
            assert await paid(house) == [b'{"id":"o1","by":"ab"}']

    asyncio.run(story())


def test_a_wait_begins_again_after_a_restart_and_takes_what_came_meanwhile() -> None:
    async def story() -> None:
        store = memory()
        async with playing(waiting_shop(), on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
        async with playing(waiting_shop(), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1", "ada"), process=process)
            await process.verdict(timeout=5)
            assert await paid(house) == [b'{"id":"o1","by":"ada"}']

    asyncio.run(story())


def test_a_wait_raises_timeouterror_at_its_deadline_and_says_so_again_on_replay() -> None:
    shop = Service("shop")
    heard: list[str] = []

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        try:
            await wait(Approved, timeout="1h")
        except TimeoutError:
            heard.append("late")
        return Paid(e.id, (await wait(Refused)).id)

    async def story() -> None:
        store, clock = memory(), Clock()
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.emit(Placed("o1"))
            verdict = await house.until_verdict(process, "waiting")
            assert verdict.until is not None
        clock.ahead_ms = HOUR_MS
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.stage.process("o1")

            async def waits_for_the_other() -> bool:
                view = await house.executions(Status.WAITING)
                return [each.waits for each in view] == [("shop.refused",)]

            await house.until(waits_for_the_other)
            await house.emit(Refused("o1"), process=process)
            await process.verdict(timeout=5)

    asyncio.run(story())
    assert heard == ["late", "late"]  # the second is the replay


def test_a_wait_can_ignore_what_came_before_its_trigger() -> None:
    shop = Service("shop")

    @shop.on(Refused)
    async def take(e: Refused) -> Paid:
        return Paid(e.id, (await wait(Approved, after="trigger")).by)

    async def story() -> None:
        async with playing(shop, Process("order", starts=Placed, done=Paid)) as house:
            process = await house.emit(Placed("o1"))
            await house.emit(Approved("o1", "early"), process=process)
            await house.emit(Refused("o1"), process=process)
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1", "late"), process=process)
            await process.verdict(timeout=5)
            assert await paid(house) == [b'{"id":"o1","by":"late"}']

    asyncio.run(story())


def test_a_wait_for_an_undeclared_type_is_refused() -> None:
    shop = Service("shop")
    hidden: Any = Refused

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        kinds = [hidden]
        await wait(*kinds)

    async def story() -> str:
        async with playing(shop) as house:
            return await house.aside(Placed("o1"))

    why = asyncio.run(story())
    assert "UndeclaredEvent: shop.take waits for shop.refused, which it does not declare" in why
    assert "write waits=[Refused]" in why


# --- sleep ------------------------------------------------------------------------------------------------


def test_a_sleep_is_over_on_time_even_if_the_node_was_down() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await sleep("3d")
        return Paid(e.id)

    async def story() -> None:
        store, clock = memory(), Clock()
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.emit(Placed("o1"))
            verdict = await house.until_verdict(process, "waiting")
            assert verdict.reasons[0].startswith("shop.take sleeps until ")
        clock.ahead_ms = 72 * HOUR_MS - 60_000
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.stage.process("o1")
            assert (await process.verdict()).status == "waiting"  # never early
        clock.ahead_ms = 72 * HOUR_MS
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.stage.process("o1")
            assert (await process.verdict(timeout=5)).is_final

    asyncio.run(story())


# --- emit -------------------------------------------------------------------------------------------------


def test_an_event_emitted_in_the_middle_is_not_emitted_again_by_a_retry() -> None:
    shop = Service("shop")
    attempts: list[str] = []

    @shop.on(Placed, retry=Retry(3), emits=[Paid])
    async def take(e: Placed) -> None:
        await emit(Paid(e.id))
        attempts.append(e.id)
        if len(attempts) < 3:
            raise ConnectionError

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))
            assert len(await paid(house)) == 1

    asyncio.run(story())
    assert len(attempts) == 3


@pytest.mark.parametrize(
    ("call", "what", "mend"),
    [
        (lambda: wait(Approved, key="o1"), "wait has no key= yet", "leave key= out"),
        (lambda: wait(Approved, after="10m"), "wait has after='10m'", 'write after="trigger"'),
    ],
)
def test_what_is_still_to_come_is_refused_with_what_to_do(call: Callable[[], Any], what: str, mend: str) -> None:
    with pytest.raises(UsageError) as refused:
        call()
    lines = str(refused.value).splitlines()
    assert lines[0] == what
    assert lines[1].startswith("  why: ")
    assert lines[2].startswith(f"  to do: {mend}")
    assert len(lines) == 3


def test_an_option_that_nobody_knows_is_no_option() -> None:
    for call in (wait, emit):
        with pytest.raises(TypeError, match="unexpected keyword argument 'kee'"):
            call(Approved, kee=1)  # type: ignore[call-overload]
