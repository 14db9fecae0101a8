"""Bugs of delayed events, expiry and schedules."""

from typing import Any

import msgspec
import pytest

from onstage.core import planned_run
from onstage.core.planned_run import ScheduleRow
from onstage.runtime import driver, scheduler
from onstage.runtime.delaying import Delaying
from onstage.runtime.emission import Emission
from onstage.runtime.scheduler import Scheduler
from onstage.runtime.timer_loop import TimerLoop

Patch = pytest.MonkeyPatch


def delayed_at_once(patch: Patch) -> None:
    """What is kept is offered like anything else, before it is due."""
    patch.setattr(TimerLoop, "hold", lambda self, delivery: self._unpark(delivery))


def due_time_not_stored(patch: Patch) -> None:
    """The due time of what is kept is in memory only."""
    plain = Delaying.keep

    def keep(self: Delaying, emission: Emission, *event: Any, **times: Any) -> int:
        n = plain(self, emission, *event, **times)
        emission.opened[-1].due = None
        return n

    patch.setattr(Delaying, "keep", keep)


def delayed_in_the_order_of_numbers(patch: Patch) -> None:
    """What is due is woken in the order in which it was emitted."""
    plain = TimerLoop._fire

    def fire(self: TimerLoop) -> None:
        now = self._node.clock.now_ms()
        self._heap = sorted((min(due, now), execution) for due, execution in self._heap)
        for due, execution in self._heap:
            if due == now and execution in self._node.open:
                self._node.open[execution].due = now
        plain(self)

    patch.setattr(TimerLoop, "_fire", fire)


def expiry_ignored(patch: Patch) -> None:
    """A handler begins with what has expired."""
    patch.setattr(driver, "may_begin", lambda *_: True)


def beginning_not_stored(patch: Patch) -> None:
    """That a handler has begun with an event that expires is not stored before its first effect."""

    def may_begin(frame: Any, expires: int) -> bool:
        frame.delivery.expires = None
        return bool(frame.driver.node.clock.now_ms() < expires)

    patch.setattr(driver, "may_begin", may_begin)


def row_moved_on_first(patch: Patch) -> None:
    """The row of a schedule moves on in a commit before that of the run."""
    plain = Scheduler._emit

    async def emit(self: Scheduler, kept: Any, planned: int, *, moves_on: bool) -> bool:
        if moves_on:
            await self._keep(kept, planned_run.advanced(kept.row, kept.schedule, kept.row.run))
        return await plain(self, kept, planned, moves_on=False)

    patch.setattr(Scheduler, "_emit", emit)


def row_moved_on_later(patch: Patch) -> None:
    """The row moves on in a commit after that of the run, and nothing tells that the planned time had its event."""
    plain, drawn = Scheduler._emit, list[None]()

    async def emit(self: Scheduler, kept: Any, planned: int, *, moves_on: bool) -> bool:
        await plain(self, kept, planned, moves_on=False)
        if moves_on:
            await self._keep(kept, planned_run.advanced(kept.row, kept.schedule, kept.row.run))
        return True

    def identity(name: str, planned: int) -> bytes:
        drawn.append(None)
        return f"{planned}{len(drawn)}{id(drawn)}".encode()[-16:].rjust(16)

    patch.setattr(Scheduler, "_emit", emit)
    patch.setattr(scheduler, "_identity", identity)


def schedule_stops_at_a_failure(patch: Patch) -> None:
    """What could not be stored ends the loop that fires."""

    async def look(self: Scheduler) -> bool:
        now = self._node.clock.now_ms()
        due = [kept for kept in self._kept.values() if not kept.row.paused and kept.row.due <= now]
        for kept in due:
            await self._deal_with(kept)
        return bool(due)

    patch.setattr(Scheduler, "_look", look)


def dead_letter_counts_as_under_way(patch: Patch) -> None:
    """A run that was set aside keeps later ones from being run."""
    patch.setattr(scheduler, "_UNDER_WAY", (*scheduler._UNDER_WAY, 4, 5))


def missed_runs_forgotten(patch: Patch) -> None:
    """A schedule begins anew at each look behind what is due, so that nothing missed is run."""
    plain = planned_run.missed

    def missed(row: ScheduleRow, schedule: Any, now_ms: int, *, busy: bool) -> ScheduleRow | None:
        if now_ms - row.due > planned_run.LATE_MS:
            return msgspec.structs.replace(row, due=planned_run._next(schedule, now_ms))
        return plain(row, schedule, now_ms, busy=busy)

    patch.setattr(scheduler, "missed", missed)


def pause_in_memory(patch: Patch) -> None:
    """That a schedule is paused is not stored."""
    plain = planned_run.encode_row
    patch.setattr(scheduler, "encode_row", lambda row: plain(msgspec.structs.replace(row, paused=False)))
