"""The scheduler of a node: rows, and what operators ask of it. What it fires is in tests/scenario/test_schedules.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.unit.runtime.playhouse import Placed, playing

from onstage import Service
from onstage.core.planned_run import SCHEDULES, ScheduleRow, decode_row
from onstage.errors import UsageError
from onstage.runtime.scheduler import BACKFILLED_MAX

if TYPE_CHECKING:
    from onstage.runtime.node import Node


def clock(plan: str = "1h") -> Service:
    service = Service("clock")

    @service.every(plan)
    async def chime() -> None: ...

    return service


async def rows(node: Node) -> list[ScheduleRow]:
    return [decode_row(note.body) for note in await node.store.reader.notes(SCHEDULES)]


def test_a_declared_schedule_has_one_row_from_the_start() -> None:
    async def story() -> None:
        async with playing(clock()) as house:
            (row,) = await rows(house.node)
            assert (row.name, row.said, row.paused) == ("clock.chime", "1h UTC", False)
            assert row.due % 3_600_000 == 0
            assert 0 < row.due - house.node.clock.now_ms() <= 3_600_000

    asyncio.run(story())


def test_a_node_without_schedules_keeps_none_and_runs_nothing_for_them() -> None:
    service = Service("shop")

    @service.on(Placed)
    async def take(e: Placed) -> None: ...

    async def story() -> None:
        async with playing(service) as house:
            assert await rows(house.node) == []
            assert house.node.scheduler._task is None  # noqa: SLF001
            with pytest.raises(UsageError, match="none is declared"):
                await house.node.scheduler.operate("pause", "clock.chime")

    asyncio.run(story())


def test_operators_pause_resume_and_backfill() -> None:
    async def story() -> None:
        async with playing(clock()) as house:
            scheduler, now = house.node.scheduler, house.node.clock.now_ms()
            await scheduler.operate("pause", "clock.chime")
            assert (await rows(house.node))[0].paused
            await scheduler.operate("resume", "clock.chime")
            assert not (await rows(house.node))[0].paused
            said = await scheduler.operate("backfill", "clock.chime", first_ms=now - 3 * 3_600_000, last_ms=now - 1)
            assert said == "clock.chime: 3 runs added, 0 had been emitted before"
            for action, first, last, told in (
                ("backfill", now - 5, now + 9_000, "not over yet"),
                ("backfill", now - 4_000 * 3_600_000, now - 1, f"more than {BACKFILLED_MAX}"),
                ("backfill", None, None, "no action"),
                ("stop", None, None, "no action stop"),
            ):
                with pytest.raises(UsageError, match=told):
                    await scheduler.operate(action, "clock.chime", first_ms=first, last_ms=last)

    asyncio.run(story())
