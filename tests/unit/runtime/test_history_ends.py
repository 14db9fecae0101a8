"""Where history ends, and who gets it: handlers that were there before, were renamed, or changed their mind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, memory, playing
from tests.unit.runtime.test_history import caught_up, filled, is_in, orders, quiet

from onstage import Retry, Service, step, wait
from onstage.events.receipt import Status
from onstage.runtime import history
from onstage.runtime.history import courses_in


def test_a_handler_that_was_there_is_not_given_what_it_had(tmp_path: Path) -> None:
    """History ends where the handler was first registered, under whatever name, however late it asks for history."""
    seen: list[str] = []

    def counting(**options: Any) -> Service:
        report = Service("report")
        report.on(Placed, **options)(_count(seen))
        return report

    async def story() -> None:
        path = tmp_path / "shop.db"
        async with playing(quiet(), on=path) as house:
            await house.settled(Placed("before"))
        async with playing(quiet(), counting(name="old"), on=path) as house:
            await house.settled(Placed("during"))
        async with playing(quiet(), on=path) as house:
            await house.settled(Placed("without"))
        async with playing(quiet(), counting(name="new", was=["old"], start="earliest"), on=path) as house:
            await caught_up(house)

    asyncio.run(story())
    assert seen == ["during", "before"]


def _count(seen: list[str]) -> Any:
    async def count(e: Placed) -> None:
        seen.append(e.id)

    return count


def test_who_was_obliged_late_is_renamed_and_the_accounts_still_agree(tmp_path: Path) -> None:
    def waiting(**options: Any) -> tuple[Service, ...]:
        shop, report = Service("shop"), Service("report")

        @shop.on(Placed)
        async def take(e: Placed) -> None:
            await wait(Approved)

        async def look(e: Placed) -> None:
            await wait(Paid)

        if options:
            report.on(Placed, start="earliest", **options)(look)
        return shop, report

    async def story() -> None:
        path = tmp_path / "shop.db"
        async with playing(*waiting(), on=path) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(*waiting(name="old"), on=path) as house:
            await house.until(lambda: _waits(house, 2))
        async with playing(*waiting(name="new", was=["old"]), on=path) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await house.emit(Paid("o1"), process=process)
            assert (await process.verdict(timeout=5)).is_final
            assert house.node.watch.unbalanced == 0

    asyncio.run(story())


async def _waits(house: House, count: int) -> bool:
    return len(await house.executions(Status.WAITING)) == count


def test_whoever_wants_no_history_any_more_gets_no_more_and_new_events_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "HISTORY_RUNNING_MAX", 1)
    monkeypatch.setattr(history, "PAGE", 1)
    seen: list[str] = []

    def reading(**options: Any) -> Service:
        report, never = Service("report"), asyncio.Event()

        @step
        async def stay() -> None:
            await never.wait()

        @report.on(Placed, name="count", **options)
        async def count(e: Placed) -> None:
            seen.append(e.id)
            if options:
                await stay()

        return report

    async def story() -> None:
        store = memory()
        await filled(store, *orders(4))
        async with playing(quiet(), reading(start="earliest"), on=store) as house:
            house.stage.drain_s = 0
            await house.until(lambda: is_in(seen, "o0"))
        (course,) = (await courses_in(store.reader)).values()
        async with playing(quiet(), reading(), on=store) as house:
            await house.settled(Placed("o3"))
            await house.until(house.has_nothing_open)
        assert (await courses_in(store.reader)).popitem()[1] == course

    asyncio.run(story())
    assert sorted(seen) == ["o0", "o0", "o3"]  # begun once more after the restart, and the new one


def test_steps_with_an_undo_are_refused_where_nobody_would_undo_them() -> None:
    @step(undo=print)
    async def charge() -> None:
        raise AssertionError

    audit = Service("audit")

    @audit.on(Placed, gating=False, retry=Retry(1))
    async def note(e: Placed) -> None:
        await charge()

    async def story() -> None:
        async with playing(quiet(), audit) as house:
            await house.emit(Placed("o1"))
            await house.until(lambda: _aside(house))
            assert "undo" in ((await house.only_execution(Status.PARKED)).error or "")

    asyncio.run(story())


async def _aside(house: House) -> bool:
    return len(await house.executions(Status.PARKED)) == 1
