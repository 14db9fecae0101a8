"""Runs of schedules: what is stored of a schedule, and what is due now. Decides, never acts.

One row says when the next run is due. What is shown is computed from it, and what fires is decided from it; it moves
on in the commit that holds the run, or that records why there was none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.events.codec import DecodeFailed

if TYPE_CHECKING:
    from onstage.contracts.schedule import Schedule

__all__ = [
    "LATE_MS",
    "SCHEDULES",
    "SKIPS_COUNTED_MAX",
    "ScheduleRow",
    "advanced",
    "decode_row",
    "encode_row",
    "first_row",
    "missed",
    "planned_between",
    "resumed",
]

SCHEDULES: Final = "schedule"
"""The topic under which a store keeps the rows, each by the number of its handler."""
LATE_MS: Final = 60_000
"""A run that is at most this late was not missed, whatever `catch_up` says."""
SKIPS_COUNTED_MAX: Final = 10_000
"""So many missed runs are counted one by one; a longer time without a node counts as so many."""


@final
class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """How a schedule stands. Times are ms since the epoch.

    `due` is the planned time of the next run, `last` that of the newest one and `run` its execution. `skipped` counts
    runs that were left out, the newest of which was planned for `skipped_last`, for the reason `skipped_why`. One that
    is `gone` is no longer declared.
    """

    name: str
    said: str
    due: int
    paused: bool = False
    gone: bool = False
    last: int | None = None
    run: int = 0
    runs: int = 0
    skipped: int = 0
    skipped_last: int | None = None
    skipped_why: str | None = None


encode_row: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(ScheduleRow).decode


def decode_row(body: bytes) -> ScheduleRow:
    """The row in a note. Raises DecodeFailed if there is none."""
    try:
        return _DECODE(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"a schedule: {error}") from error


def first_row(name: str, schedule: Schedule, stored: ScheduleRow | None, now_ms: int) -> ScheduleRow:
    """The row of a declared schedule when a node starts.

    One that stands stays as it is, so that what it missed is seen. A new plan, or one that was gone, begins now.
    """
    if stored is None:
        return ScheduleRow(name=name, said=schedule.said, due=_next(schedule, now_ms))
    if stored.said == schedule.said and not stored.gone:
        return msgspec.structs.replace(stored, name=name)
    due = _next(schedule, now_ms)
    return msgspec.structs.replace(stored, name=name, said=schedule.said, due=due, gone=False)


def advanced(row: ScheduleRow, schedule: Schedule, run: int) -> ScheduleRow:
    """The row after the run that was due has been emitted, as execution `run`."""
    due = _next(schedule, row.due)
    return msgspec.structs.replace(row, due=due, last=row.due, run=run, runs=row.runs + 1)


def missed(row: ScheduleRow, schedule: Schedule, now_ms: int, *, busy: bool) -> ScheduleRow | None:
    """The row after the runs that are due and must be left out; None if the one that is due must be run."""
    oldest = now_ms - max(schedule.catch_up_ms, LATE_MS)
    if row.due < oldest:
        return _without_old(row, schedule, oldest)
    if busy and schedule.overlap == "skip":
        return msgspec.structs.replace(
            row,
            due=_next(schedule, row.due),
            skipped=row.skipped + 1,
            skipped_last=row.due,
            skipped_why="the run before was still under way",
        )
    return None


def _without_old(row: ScheduleRow, schedule: Schedule, oldest: int) -> ScheduleRow:
    count, last, due = 0, row.due, row.due
    while due < oldest and count < SKIPS_COUNTED_MAX:
        count, last, due = count + 1, due, _next(schedule, due)
    if due < oldest:
        last, due = due, _next(schedule, oldest - 1)
    why = "it was missed for longer than catch_up="
    return msgspec.structs.replace(row, due=due, skipped=row.skipped + count, skipped_last=last, skipped_why=why)


def resumed(row: ScheduleRow, schedule: Schedule, now_ms: int) -> ScheduleRow:
    """The row after a pause: the next run is the next planned one, those in between can be backfilled."""
    return msgspec.structs.replace(row, paused=False, due=_next(schedule, now_ms))


def planned_between(schedule: Schedule, first_ms: int, last_ms: int, at_most: int) -> list[int]:
    """The planned times from `first_ms` to `last_ms`, both included, in order; one more than `at_most` at most."""
    found: list[int] = []
    due = _next(schedule, first_ms - 1)
    while due <= last_ms and len(found) <= at_most:
        found.append(due)
        due = _next(schedule, due)
    return found


def _next(schedule: Schedule, after_ms: int) -> int:
    planned = schedule.plan.next_after(datetime.fromtimestamp(after_ms / 1000, UTC))
    return round(planned.timestamp() * 1000)
