"""`gather`, `race` and `spawn`: what they take, what they refuse, when an execution with branches parks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, assert_type

import pytest
from tests.unit.runtime.playhouse import Approved, Clock, House, Paid, Placed, Refused, memory, playing

from onstage import Service, gather, race, sleep, spawn, step, wait
from onstage.contracts.handler import Handler
from onstage.errors import UsageError
from onstage.events.receipt import Status

heard: list[str] = []


@step
async def charge(id: str) -> str:
    heard.append(id)
    return f"c-{id}"


@step
async def fails(id: str) -> int:
    raise ValueError(id)


@step
def stamp(id: str) -> str:
    heard.append(id)
    return f"s-{id}"


def on_stage(handler: Callable[[Placed], Awaitable[Any]], story: Callable[[House], Awaitable[Any]]) -> Any:
    """Play a story with one handler of `Placed`."""
    heard.clear()

    async def run() -> Any:
        shop = Service("shop")
        made: Handler[Placed, Any] = shop.on(Placed, emits=[Paid], waits=[Approved, Refused])(handler)  # type: ignore[arg-type]
        assert made.name
        async with playing(shop) as house:
            return await story(house)

    return asyncio.run(run())


async def paid(house: House) -> str:
    """What the handler says in the end."""
    process = await house.emit(Placed("o1"))
    assert (await process.verdict(timeout=10)).is_final
    (event,) = await house.events("shop.paid")
    return event.data.decode()


async def aside(house: House) -> str:
    return await house.aside(Placed("o1"))


# --- what they take ---


def test_outside_an_execution_branches_simply_run() -> None:
    async def coroutine() -> int:
        return 7

    async def run() -> None:
        heard.clear()
        assert await gather(charge("a"), coroutine(), stamp("b")) == ("c-a", 7, "s-b")
        assert await race(coroutine(), asyncio_for_ever()) == 7
        assert await spawn(charge("c")) == "c-c"
        with pytest.raises(ValueError, match="first"):
            await gather(coroutine(), fails("first"), fails("second"))

    async def asyncio_for_ever() -> int:
        await asyncio.Event().wait()
        return 0

    asyncio.run(run())
    assert heard == ["a", "b", "c"]


def test_types_come_out_as_they_went_in() -> None:
    async def plain() -> bytes:
        return b"p"

    async def run() -> None:
        pair = await gather(charge("a"), plain())
        assert_type(pair, tuple[str, bytes])
        many = await gather(*(plain() for _ in range(7)))
        assert_type(many, tuple[bytes, ...])
        first = await race(charge("a"), plain())
        assert_type(first, str | bytes)
        spawned = await spawn(plain())
        assert_type(spawned, bytes)
        nested = await gather(gather(charge("a"), plain()), stamp("b"))
        assert_type(nested, tuple[tuple[str, bytes], str])
        assert (pair, many, spawned) == (("c-a", b"p"), (b"p",) * 7, b"p")
        assert (nested, first in ("c-a", b"p")) == ((("c-a", b"p"), "s-b"), True)

    asyncio.run(run())


@pytest.mark.parametrize("make", [gather, race, spawn])
def test_a_branch_is_a_call_or_a_coroutine(make: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match="was given int"):
        make(7)


def test_a_coroutine_beside_something_refused_is_closed() -> None:
    async def coroutine() -> int:
        return 7

    with pytest.raises(UsageError, match="gather was given str"):
        gather(coroutine(), "charge")  # type: ignore[call-overload]


def test_nobody_wins_a_race_without_branches() -> None:
    with pytest.raises(UsageError, match="race was given no branch"):
        race()


def test_no_branch_at_all_is_gathered_at_once() -> None:
    async def take(e: Placed) -> Paid:
        return Paid(e.id, str(await gather()))

    assert on_stage(take, paid) == '{"id":"o1","by":"()"}'


# --- inside an execution ---


def test_branches_have_positions_of_their_own() -> None:
    async def branch(id: str) -> str:
        return await charge(id) + await charge(id + id)

    async def take(e: Placed) -> Paid:
        left, right, alone = await gather(branch("a"), branch("b"), charge("c"))
        await wait(Approved)
        return Paid(e.id, left + right + alone)

    async def positions(house: House) -> list[str]:
        await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        stored = await house.stored((await house.only_execution()).id)
        return sorted(entry.position for entry in stored.entries)

    assert on_stage(take, positions) == [
        "charge#0",
        "gather#0/0/charge#0",
        "gather#0/0/charge#1",
        "gather#0/1/charge#0",
        "gather#0/1/charge#1",
        "wait#0",
    ]


def test_two_waits_for_the_same_type_never_take_the_same_event() -> None:
    """Also of bare asyncio: what one has taken while the other was looking is taken."""

    async def take(e: Placed) -> Paid:
        await wait(Refused)
        first, second = await asyncio.gather(wait(Approved, timeout="1h"), wait(Approved, timeout="1h"))
        return Paid(e.id, f"{first.by}{second.by}")

    async def story(house: House) -> str:
        process = await house.emit(Placed("o1"))
        for event in (Approved("o1", "x"), Approved("o1", "y"), Refused("o1")):
            await house.emit(event, process=process)
        await process.verdict(timeout=10)
        (paid,) = await house.events("shop.paid")
        return paid.data.decode()

    assert on_stage(take, story) in ('{"id":"o1","by":"xy"}', '{"id":"o1","by":"yx"}')


def test_a_foreign_await_in_one_branch_does_not_make_the_execution_park_under_it() -> None:
    async def foreign() -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        return await charge("late")

    async def take(e: Placed) -> Paid:
        await gather(wait(Approved), foreign())
        return Paid(e.id)

    async def story(house: House) -> list[str]:
        await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        return list(heard)

    assert on_stage(take, story) == ["late"]


def test_bare_asyncio_inside_a_branch_parks_with_the_others() -> None:
    async def inner() -> str:
        approved, charged = await asyncio.gather(wait(Approved), charge("i"))
        return approved.by + charged

    async def take(e: Placed) -> Paid:
        spawn(charge("beside"))
        first, _ = await gather(inner(), wait(Refused))
        return Paid(e.id, first)

    async def story(house: House) -> str:
        process = await house.emit(Placed("o1"))
        await house.until_verdict(process, "waiting")
        view = await house.only_execution(Status.WAITING)
        assert view.waits == ("shop.approved", "shop.refused")
        await house.emit(Approved("o1", "ada"), process=process)
        await house.emit(Refused("o1"), process=process)
        await process.verdict(timeout=10)
        return (await house.events("shop.paid"))[0].data.decode()

    assert on_stage(take, story) == '{"id":"o1","by":"adac-i"}'
    assert sorted(heard) == ["beside", "i"]


def test_a_durable_call_in_a_task_of_a_branch_is_still_refused() -> None:
    async def branch() -> None:
        async def foreign() -> str:
            return await charge("x")

        await asyncio.create_task(foreign())

    async def take(e: Placed) -> None:
        await gather(branch())

    assert "in a task that is not the handler's own" in on_stage(take, aside)


def test_fewer_branches_than_recorded_are_diverged_and_touch_nothing() -> None:
    def version(count: int) -> Service:
        shop = Service("shop")

        async def branch(n: int) -> None:
            await charge(str(n))
            await wait(Approved)

        @shop.on(Placed, waits=[Approved])
        async def take(e: Placed) -> None:
            await gather(*(branch(n) for n in range(count)))

        return shop

    async def story() -> None:
        heard.clear()
        store = memory()
        async with playing(version(3), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(version(2), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await house.until_verdict(process, "stuck")
            error = (await house.only_execution(Status.DIVERGED)).error or ""
            assert "opens 2 branches at gather#0, the journal has 3" in error

    asyncio.run(story())
    assert sorted(heard) == ["0", "1", "2"]


def test_a_branch_that_leaves_out_what_it_recorded_is_diverged() -> None:
    def version(full: bool) -> Service:
        shop = Service("shop")

        async def branch() -> None:
            await charge("a")
            if full:
                await charge("b")

        @shop.on(Placed, waits=[Approved])
        async def take(e: Placed) -> None:
            await gather(branch(), charge("c"))
            await wait(Approved)
            await charge("after")

        return shop

    async def story() -> None:
        heard.clear()
        store = memory()
        async with playing(version(True), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(version(False), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await house.until_verdict(process, "stuck")
            error = (await house.only_execution(Status.DIVERGED)).error or ""
            assert "the branch gather#0/0 ended, the journal also has gather#0/0/charge#1" in error

    asyncio.run(story())
    assert "after" not in heard


def test_a_spawned_branch_can_be_awaited_twice_and_beside_bare_calls() -> None:
    async def take(e: Placed) -> Paid:
        beside = spawn(charge("a"))
        both = await asyncio.gather(beside, stamp("b"))
        return Paid(e.id, "".join(both) + await beside)

    assert on_stage(take, paid) == '{"id":"o1","by":"c-as-bc-a"}'


def test_a_handler_that_never_suspends_still_waits_for_what_it_has_spawned() -> None:
    async def take(e: Placed) -> Paid:
        spawn(charge("a"))
        return Paid(e.id)

    assert on_stage(take, paid) == '{"id":"o1","by":""}'
    assert heard == ["a"]


def test_a_handler_that_fails_at_once_ends_what_it_has_spawned() -> None:
    async def take(e: Placed) -> None:
        spawn(charge("a"))
        raise UsageError("never mind")

    assert "never mind" in on_stage(take, aside)
    assert heard == []


def test_a_loser_that_awaits_something_else_is_cancelled_there() -> None:
    async def foreign() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            heard.append("cancelled")
        return ""

    async def take(e: Placed) -> Paid:
        return Paid(e.id, await race(foreign(), charge("a")))

    assert on_stage(take, paid) == '{"id":"o1","by":"c-a"}'
    assert heard == ["a", "cancelled"]


def test_a_node_that_stops_decides_no_race() -> None:
    async def story() -> None:
        heard.clear()
        store, clock = memory(), Clock()
        shop = Service("shop")
        started = asyncio.Event()

        @step
        async def hang(name: str) -> str:
            if not started.is_set():
                started.set()
                await asyncio.Event().wait()
            return name

        @shop.on(Placed)
        async def take(e: Placed) -> Paid:
            return Paid(e.id, await race(hang("a"), sleep_long()))

        async def sleep_long() -> str:
            await sleep("5h")
            return "b"

        async with playing(shop, on=store, clock=clock) as house:
            house.stage.drain_s = 0.0
            await house.emit(Placed("o1"))
            await started.wait()
        async with playing(shop, on=store, clock=clock) as house:
            await (await house.stage.process("o1")).verdict(timeout=10)
            assert (await house.events("shop.paid"))[0].data == b'{"id":"o1","by":"a"}'

    asyncio.run(story())
