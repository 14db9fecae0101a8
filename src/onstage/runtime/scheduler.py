"""Fires schedules: one event for each planned time, as the root of a process of its own.

Theory of operation. The row of a schedule (`core/planned_run.py`) is a note of the store. The commit that holds the
event of a run also moves its row on, and bears the identity of (schedule, planned time) at the door: whatever dies,
a planned time has its event once. What a run comes to is the business of its handler; nothing here waits for it, and
no failure here ends the loop: what could not be written is tried again, and the row still says what is due.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.schedule import Tick
from onstage.core.commit import Door, Note, Notes, RefusedBecause, execution_id
from onstage.core.planned_run import (
    SCHEDULES,
    ScheduleRow,
    advanced,
    decode_row,
    encode_row,
    first_row,
    missed,
    planned_between,
    resumed,
)
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.ports.clock import LOOK_AGAIN_S_MAX
from onstage.ports.store import Refused
from onstage.runtime.cancelling import cancel_note
from onstage.runtime.emission import Emission

if TYPE_CHECKING:
    from onstage.contracts.schedule import Schedule
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.node import Node

__all__ = ["BACKFILLED_MAX", "Scheduler"]

BACKFILLED_MAX: Final = 1_000
"""So many runs at most are added by one backfill."""
SCHEDULES_MAX: Final = 10_000
"""So many rows of schedules at most are read at a start."""
AGAIN_MS: Final = 1_000
"""What failed is tried again after so long."""

_UNDER_WAY: Final = (Status.READY, Status.RUNNING, Status.WAITING, Status.RETRYING)
log = logging.getLogger("onstage.schedule")


@final
class _Kept:
    """A declared schedule of this node and its row as it is stored."""

    __slots__ = ("again_at", "reaction", "row", "schedule")

    def __init__(self, reaction: Reaction, schedule: Schedule, row: ScheduleRow) -> None:
        self.reaction = reaction
        self.schedule = schedule
        self.row = row
        self.again_at = 0

    def looked_at(self) -> int:
        return max(self.row.due, self.again_at)


@final
class Scheduler:
    """The schedules of one node. Without any it does nothing and costs nothing."""

    def __init__(self, node: Node) -> None:
        """For this node."""
        self._node = node
        self._kept: dict[str, _Kept] = {}
        self._wake = asyncio.Event()
        self._changing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what the rows say, and begin to fire."""
        await self._load()
        if self._kept:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _load(self) -> None:
        node = self._node
        declared = [each for each in node.reactions.values() if each.handler.schedule is not None]
        stored = {
            note.number: decode_row(note.body) for note in await node.store.reader.notes(SCHEDULES, limit=SCHEDULES_MAX)
        }
        now, notes = node.clock.now_ms(), list[Note]()
        for reaction in declared:
            schedule = reaction.handler.schedule
            assert schedule is not None, "only these were taken"
            known = stored.pop(reaction.number, None)
            row = first_row(reaction.name, schedule, known, now)
            self._kept[reaction.name] = _Kept(reaction, schedule, row)
            if row != known:
                notes.append(_note(reaction.number, row))
        for number, row in stored.items():
            if not row.gone:
                notes.append(_note(number, msgspec.structs.replace(row, gone=True)))
        if notes and node.dispatches:
            await node.store.durable(node.append_notes(Notes(notes)))

    def close(self) -> None:
        """Fire nothing more."""
        if self._task is not None:
            self._task.cancel()

    # Firing.

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            while await self._look():
                pass

    def _pause_s(self) -> float:
        now = self._node.clock.now_ms()
        dues = [kept.looked_at() for kept in self._kept.values() if not kept.row.paused]
        return min(max(min(dues, default=now + 60_000) - now, 0) / 1000, LOOK_AGAIN_S_MAX)

    async def _look(self) -> bool:
        """Deal with one run of each schedule that is due, the longest due first; whether there was any."""
        now = self._node.clock.now_ms()
        due = [kept for kept in self._kept.values() if not kept.row.paused and kept.looked_at() <= now]
        for kept in sorted(due, key=lambda each: each.row.due):
            try:
                async with self._changing:
                    await self._deal_with(kept)
            except Exception:
                log.exception("a run of %s could not be stored; it is tried again", kept.row.name)
                kept.again_at = self._node.clock.now_ms() + AGAIN_MS
        return bool(due)

    async def _deal_with(self, kept: _Kept) -> None:
        node, row = self._node, kept.row
        now = node.clock.now_ms()
        if row.paused or row.due > now:
            return  # an operator was quicker
        busy = await self._is_busy(row)
        without = missed(row, kept.schedule, now, busy=busy)
        if without is not None:
            log.warning("%s left out a run: %s", row.name, without.skipped_why)
            await self._keep(kept, without)
            return
        if not await self._emit(kept, row.due, moves_on=True, busy=busy):
            await self._keep(kept, advanced(row, kept.schedule, row.run))  # it has its event from an earlier life

    async def _is_busy(self, row: ScheduleRow) -> bool:
        """Whether the newest run is under way. One that was set aside is not: it would stop the schedule for ever."""
        if not row.run:
            return False
        stored = await self._node.store.reader.execution(row.run)
        return stored is not None and Status(stored.execution.status) in _UNDER_WAY

    async def _emit(self, kept: _Kept, planned: int, *, moves_on: bool, busy: bool = False) -> bool:
        """Store the event of a planned time, and with it the row; False if it has one already."""
        node, reaction = self._node, kept.reaction
        route = node.routes[reaction.handler.triggers[0].name]
        tick = Tick(reaction.name, datetime.fromtimestamp(planned / 1000, UTC))
        data = route.type.encode(tick)
        key = None if kept.schedule.overlap == "allow" else reaction.name
        emission = Emission(node.numbers)
        n = emission.emit(route, data, key, now_ms=node.clock.now_ms())
        row = advanced(kept.row, kept.schedule, execution_id(n, reaction.number)) if moves_on else kept.row
        door = Door(_identity(reaction.name, planned), b"", n)
        other = self._cancelled_by_next(kept, busy=busy)
        notes = Notes([_note(reaction.number, row), *map(cancel_note, other)]) if moves_on else None
        position = node.append(emission.commit(node.epoch, door=door, notes=notes), emission)
        node.marks.made(other, position)
        node.dispatcher.wake()
        node.dispatcher.flush_soon()
        try:
            await node.store.durable(position)
        except Refused as refused:
            if refused.refusal.because != RefusedBecause.DUPLICATE:
                raise
            return False
        kept.row = row
        return True

    def _cancelled_by_next(self, kept: _Kept, *, busy: bool) -> tuple[int, ...]:
        """The run before, if it is to make way for the one that is due; if it has not begun, it never does."""
        run = self._node.open.get(kept.row.run)
        if run is None or not busy or run.cancelled or kept.schedule.overlap != "cancel-other":
            return ()
        if run.id not in self._node.dispatcher.running:
            run.resumed = True
        log.warning("%s cancels the run before, which is still under way", kept.row.name)
        return (run.id,)

    async def _keep(self, kept: _Kept, row: ScheduleRow) -> None:
        await self._node.store.durable(self._node.append_notes(Notes([_note(kept.reaction.number, row)])))
        kept.row = row

    # For operators.

    async def operate(self, action: str, name: str, *, first_ms: int | None = None, last_ms: int | None = None) -> str:
        """Pause, resume or backfill a schedule; durable when this returns. Answers what was done.

        A backfill emits the planned times from `first_ms` to `last_ms` that have no event yet. Raises UsageError.
        """
        if not self._kept:
            await self._load()  # a client that holds the store: nothing fires there
        kept = self._kept.get(name)
        if kept is None:
            known = ", ".join(sorted(self._kept)) or "none is declared"
            raise UsageError(
                f"there is no schedule {name}\n  why: this app has {known}\n  to do: `onstage schedules ls`"
            )
        async with self._changing:
            answer = await self._operate(action, kept, first_ms, last_ms)
        self._wake.set()
        return answer

    async def _operate(self, action: str, kept: _Kept, first_ms: int | None, last_ms: int | None) -> str:
        now = self._node.clock.now_ms()
        match action:
            case "pause":
                await self._keep(kept, msgspec.structs.replace(kept.row, paused=True))
                return f"{kept.row.name} is paused"
            case "resume":
                row = resumed(kept.row, kept.schedule, now) if kept.row.paused else kept.row
                await self._keep(kept, row)
                return f"{kept.row.name} runs again"
            case "backfill" if first_ms is not None and last_ms is not None:
                return await self._backfill(kept, first_ms, last_ms)
            case _:
                raise UsageError(
                    f"a schedule has no action {action}\n"
                    "  why: it is none of pause, resume, backfill (with both ends)\n"
                    "  to do: choose one"
                )

    async def _backfill(self, kept: _Kept, first_ms: int, last_ms: int) -> str:
        if not first_ms <= last_ms < self._node.clock.now_ms():
            raise UsageError(
                "this range cannot be backfilled\n  why: it is empty, or not over yet\n"
                "  to do: give two moments of the past"
            )
        planned = planned_between(kept.schedule, first_ms, last_ms, BACKFILLED_MAX)
        if len(planned) > BACKFILLED_MAX:
            raise UsageError(
                f"this range holds more than {BACKFILLED_MAX} runs\n  why: so many are added at once at most\n"
                "  to do: backfill shorter ranges, one after the other"
            )
        added = [await self._emit(kept, at, moves_on=False) for at in planned]
        return f"{kept.row.name}: {sum(added)} runs added, {len(added) - sum(added)} had been emitted before"


def _identity(name: str, planned: int) -> bytes:
    return blake2b(f"//onstage/schedule\0{name}\0{planned}".encode(), digest_size=16).digest()


def _note(number: int, row: ScheduleRow) -> Note:
    return Note(SCHEDULES, number, encode_row(row))
