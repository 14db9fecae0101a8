"""Replays and retirements: what an operator does to a subscription, once, counted, and refused where it would harm."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Clock, House, Paid, Placed, memory, playing

from onstage import Retry, Service, idempotency_key, step, wait
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.runtime.history import courses_in
from onstage.runtime.subscriptions import retirements


def counting(seen: list[str]) -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def count(e: Placed) -> Paid:
        seen.append(e.id)
        return Paid(e.id)

    return shop


async def at_rest(house: House) -> None:
    async def holds() -> bool:
        courses = house.node.history.courses.values()
        return all(course.ended for course in courses) and not house.node.open

    await house.until(holds)
    await house.node.settle_window()


# --- replaying --------------------------------------------------------------------------------------------


def test_a_replay_delivers_again_as_executions_of_its_own_outside_of_the_processes(tmp_path: Path) -> None:
    seen: list[str] = []

    async def story() -> None:
        path = tmp_path / "shop.db"
        async with playing(counting(seen), on=path) as house:
            for name in ("a", "b", "c"):
                await house.settled(Placed(name))
            first, _, third = await house.events("shop.placed")
            told = await house.stage.replay("shop.count", after=first.n)
            assert told == {"handler": "shop.count@1", "events": 2, "after": first.n, "until": 6}
            await at_rest(house)
            assert seen == ["a", "b", "c", "b", "c"]
            views = await house.node.store.reader.executions(process=third.process)
            assert [(v.handler, v.gating, Status(v.status).label) for v in views] == [
                ("shop.count", True, "done"),
                ("shop.count@1", False, "done"),
            ]
            paid = await house.events("shop.paid")
            assert [event.process == event.n for event in paid] == [False] * 3 + [True] * 2
            assert (await house.stage.replay("shop.count"))["handler"] == "shop.count@2"
            await at_rest(house)
        async with playing(counting(seen), on=path) as house:  # nothing of it is begun again
            await house.settled(Placed("d"))
            assert (await house.stage.replay("shop.count", dry_run=True))["events"] == 4
            assert len(await courses_in(house.node.store.reader)) == 2

    asyncio.run(story())
    assert seen == ["a", "b", "c", "b", "c", "a", "b", "c", "d"]


def test_a_replay_counts_what_it_brings_whatever_comes_meanwhile() -> None:
    async def story() -> None:
        async with playing(counting([])) as house:
            await house.settled(Placed("a"))
            plain, late = house.node.settle_window, list[asyncio.Task[Any]]()

            async def settle_window() -> None:
                await plain()
                late.append(asyncio.create_task(house.stage.emit(Placed("b"))))
                await asyncio.sleep(0)
                assert house.node.store.undurable

            house.node.settle_window = settle_window  # type: ignore[method-assign]
            told = await house.stage.replay("shop.count")
            house.node.settle_window = plain  # type: ignore[method-assign]
            await asyncio.gather(*late)
            await at_rest(house)
            placed = await house.events("shop.placed")
            assert len(placed) == 2
            assert told["events"] == sum(event.n <= told["until"] for event in placed) == 1

    asyncio.run(story())


def test_a_replay_begins_at_a_time() -> None:
    seen: list[str] = []

    async def story() -> None:
        clock = Clock()
        async with playing(counting(seen), clock=clock) as house:
            await house.settled(Placed("old"))
            clock.ahead_ms += 3_600_000
            since = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
            await house.settled(Placed("new"))
            assert (await house.stage.replay("shop.count", since=since))["events"] == 1
            await at_rest(house)
            options = {"until_ms": round(since.timestamp() * 1000), "dry_run": 1}
            assert (await house.stage.manage("replay", "shop.count", options))["events"] == 1
            assert (await house.stage.manage("replay", "shop.count", {"until": 1, "dry_run": 1}))["events"] == 1

    asyncio.run(story())
    assert seen == ["old", "new", "new"]


def test_a_replay_performs_its_steps_anew_under_keys_of_their_own() -> None:
    keys: list[str] = []
    shop = Service("shop")

    @step
    async def charge() -> None:
        keys.append(idempotency_key())

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await charge()

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("a"))
            await house.stage.replay("shop.take")
            await at_rest(house)

    asyncio.run(story())
    assert [key.partition("/")[2] for key in keys] == ["shop.take/charge#0", "shop.take@1/charge#0"]


def test_an_open_replay_goes_on_after_a_restart_also_of_a_handler_that_was_renamed() -> None:
    seen: list[str] = []

    def waiting(**options: Any) -> Service:
        shop = Service("shop")

        async def take(e: Placed) -> None:
            seen.append((await wait(Approved)).by)

        shop.on(Placed, **options)(take)
        return shop

    async def story() -> None:
        store = memory()
        async with playing(waiting(), on=store) as house:
            process = await house.emit(Placed("a"))
            await house.stage.replay("shop.take")
            await house.until(lambda: _waits(house, 2))
        async with playing(waiting(name="kept", was=["take"]), on=store) as house:
            await house.emit(Approved("a", "ann"), process=process.id)
            await house.until(lambda: _waits(house, 1))  # the replay has a mailbox of its own, of what was then
            (view,) = await house.executions(Status.WAITING)
            assert view.handler == "shop.take@1"
            assert (await process_of(house, "a")).is_final

    asyncio.run(story())
    assert seen == ["ann"]


async def process_of(house: House, key: str) -> Any:
    return await (await house.stage.process(key)).verdict(timeout=5)


async def _waits(house: House, count: int) -> bool:
    return len(await house.executions(Status.WAITING)) == count


@pytest.mark.parametrize("handler", ["shop.other", "shop.count@1", ""])
def test_what_does_not_run_here_cannot_be_replayed(handler: str) -> None:
    async def story() -> None:
        async with playing(counting([])) as house:
            await house.settled(Placed("a"))
            await house.stage.replay("shop.count")
            with pytest.raises(UsageError, match=r"the app has shop\.count\n"):
                await house.stage.replay(handler)
            with pytest.raises(UsageError, match="none of replay, retire"):
                await house.stage.manage("pause", "shop.count", {})

    asyncio.run(story())


def calm() -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def pass_on(e: Placed) -> None:
        return

    return shop


# --- retiring ---------------------------------------------------------------------------------------------


def gone(*, waits: bool) -> Service:
    """A service with a handler that leaves something open: it waits, or is set aside."""
    old = Service("old")

    @old.on(Placed, retry=Retry(1), waits=[Approved])
    async def linger(e: Placed) -> None:
        if waits:
            await wait(Approved)
        raise ConnectionError("down")

    return old


@pytest.mark.parametrize("waits", [True, False])
def test_what_a_gone_handler_left_open_is_stuck_until_it_is_retired(waits: bool) -> None:
    async def story() -> None:
        store = memory()
        async with playing(calm(), gone(waits=waits), on=store) as house:
            process = await house.emit(Placed("a"))
            await house.until_verdict(process, "waiting" if waits else "stuck")
            with pytest.raises(UsageError, match="the app of this node declares it"):
                await house.stage.retire("old.linger")
        async with playing(calm(), on=store) as house:
            process = await house.stage.process("a")
            assert "no live node has this handler" in str(await process.verdict())
            assert await house.stage.retire("old.linger", dry_run=True) == 1
            assert (await process.verdict()).status == "stuck"
            assert await house.stage.retire("old.linger") == 1
            verdict = await process.verdict(timeout=5)
            assert verdict.is_final
            assert "old.linger was retired" in str(verdict)
            assert house.node.watch.unbalanced == 0
            (record,) = (await retirements(store.reader)).values()
            assert (record.name, record.written_off) == ("old.linger", 1)
            assert await house.stage.retire("old.linger") == 0  # again does no harm
            (record,) = (await retirements(store.reader)).values()
            assert record.written_off == 1

    asyncio.run(story())


def test_two_who_retire_a_handler_at_once_write_off_each_obligation_once() -> None:
    async def story() -> None:
        store = memory()
        async with playing(counting([]), gone(waits=True), on=store) as house:
            for key in "abc":
                await house.until_verdict(await house.emit(Placed(key)), "waiting")
        async with playing(counting([]), on=store) as house:
            counts = await asyncio.gather(*(house.stage.retire("old.linger") for _ in range(3)))
            assert sum(counts) == 3
            (record,) = (await retirements(store.reader)).values()
            assert record.written_off == 3
            assert await house.executions() == []

    asyncio.run(story())


def test_whoever_waits_for_the_end_hears_of_the_write_off() -> None:
    async def story() -> None:
        store = memory()
        async with playing(counting([]), gone(waits=True), on=store) as house:
            await house.until_verdict(await house.emit(Placed("a")), "waiting")
        async with playing(counting([]), on=store) as house:
            process = await house.stage.process("a")
            ending = asyncio.ensure_future(process.verdict(timeout=5))
            await asyncio.sleep(0)
            await house.stage.retire("old.linger")
            assert (await ending).is_final

    asyncio.run(story())


def test_a_renamed_handler_is_retired_under_the_name_it_was_obliged_with(tmp_path: Path) -> None:
    def renamed(**options: Any) -> Service:
        old = Service("old")

        async def linger(e: Placed) -> None:
            await wait(Approved)

        old.on(Placed, waits=[Approved], **options)(linger)
        return old

    async def story() -> None:
        path = tmp_path / "shop.db"
        async with playing(counting([]), renamed(name="first"), on=path) as house:
            await house.until_verdict(await house.emit(Placed("a")), "waiting")
        async with playing(counting([]), renamed(name="second", was=["first"]), on=path) as house:
            await house.until_verdict(await house.stage.process("a"), "waiting")
        async with playing(counting([]), on=path) as house:
            assert await house.stage.retire("old.second") == 1
            assert (await (await house.stage.process("a")).verdict(timeout=5)).is_final
            assert house.node.watch.unbalanced == 0

    asyncio.run(story())


def test_the_replays_of_a_gone_handler_are_written_off_with_it() -> None:
    async def story() -> None:
        store = memory()
        async with playing(counting([]), gone(waits=True), on=store) as house:
            await house.emit(Placed("a"))
            await house.stage.replay("old.linger")
            await house.until(lambda: _waits(house, 2))
        async with playing(counting([]), on=store) as house:
            assert await house.stage.retire("old.linger") == 2
            assert await house.executions() == []

    asyncio.run(story())


def test_a_handler_that_never_was_cannot_be_retired() -> None:
    async def story() -> None:
        store = memory()
        async with playing(counting([]), gone(waits=True), on=store) as house:
            await house.emit(Placed("a"))
        async with playing(counting([]), on=store) as house:
            for name in ("old.other", "linger", "", "old.linger@1"):
                with pytest.raises(UsageError, match=r"gone from the app are old\.linger\n"):
                    await house.stage.retire(name)

    asyncio.run(story())
