"""What is due of a schedule, decided from its row."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from onstage.contracts.schedule import Schedule, schedule_of
from onstage.core.planned_run import (
    LATE_MS,
    SCHEDULES,
    SKIPS_COUNTED_MAX,
    ScheduleRow,
    advanced,
    decode_row,
    encode_row,
    first_row,
    missed,
    planned_between,
    resumed,
)
from onstage.events.codec import DecodeFailed

HOUR = 3_600_000
BEGIN = 1_767_225_600_000


def hourly(**options: Any) -> Schedule:
    return schedule_of("a.b", "1h", options, "here")


def row(due: int = BEGIN, **fields: Any) -> ScheduleRow:
    return ScheduleRow(name="a.b", said="1h UTC", due=due, **fields)


def test_a_new_schedule_begins_with_the_next_planned_time() -> None:
    assert first_row("a.b", hourly(), None, BEGIN + 5).due == BEGIN + HOUR


def test_one_that_stands_keeps_its_due_time_so_that_what_it_missed_is_seen() -> None:
    stored = row(BEGIN - 5 * HOUR, runs=3, paused=True)
    assert first_row("a.b", hourly(), stored, BEGIN) == stored


@pytest.mark.parametrize(
    "stored", [row(BEGIN - 5 * HOUR, gone=True), msgspec.structs.replace(row(BEGIN), said="2h UTC")]
)
def test_a_new_plan_and_one_that_was_gone_begin_now(stored: ScheduleRow) -> None:
    taken = first_row("a.c", hourly(), stored, BEGIN + 5)
    assert (taken.name, taken.said, taken.due, taken.gone) == ("a.c", "1h UTC", BEGIN + HOUR, False)


def test_a_run_moves_the_row_to_the_next_planned_time_however_late_it_was() -> None:
    after = advanced(row(BEGIN), hourly(), 77)
    assert (after.due, after.last, after.run, after.runs) == (BEGIN + HOUR, BEGIN, 77, 1)


def test_what_is_a_little_late_is_not_missed_even_without_catching_up() -> None:
    schedule = hourly(catch_up=0)
    assert missed(row(BEGIN), schedule, BEGIN + LATE_MS, busy=False) is None
    left = missed(row(BEGIN), schedule, BEGIN + LATE_MS + 1, busy=False)
    assert left is not None
    assert (left.due, left.skipped, left.skipped_last) == (BEGIN + HOUR, 1, BEGIN)


def test_older_ones_are_left_out_together_and_counted() -> None:
    left = missed(row(BEGIN), hourly(catch_up="2h"), BEGIN + 5 * HOUR, busy=False)
    assert left is not None
    assert (left.due, left.skipped, left.skipped_last) == (BEGIN + 3 * HOUR, 3, BEGIN + 2 * HOUR)
    assert left.skipped_why is not None


def test_years_without_a_node_cost_a_bounded_count() -> None:
    schedule = schedule_of("a.b", "1s", {}, "here")
    left = missed(row(0), schedule, BEGIN, busy=False)
    assert left is not None
    assert left.skipped == SKIPS_COUNTED_MAX
    assert left.due == BEGIN - HOUR


def test_only_skip_leaves_out_a_run_because_one_is_under_way() -> None:
    left = missed(row(BEGIN), hourly(), BEGIN, busy=True)
    assert left is not None
    assert (left.due, left.skipped, left.skipped_last) == (BEGIN + HOUR, 1, BEGIN)
    for overlap in ("queue", "allow"):
        assert missed(row(BEGIN), hourly(overlap=overlap), BEGIN, busy=True) is None


def test_after_a_pause_the_next_planned_time_is_next() -> None:
    after = resumed(row(BEGIN, paused=True), hourly(), BEGIN + 3 * HOUR + 1)
    assert (after.paused, after.due) == (False, BEGIN + 4 * HOUR)


def test_a_range_holds_both_its_ends_and_is_cut() -> None:
    assert planned_between(hourly(), BEGIN, BEGIN + 2 * HOUR, 10) == [BEGIN, BEGIN + HOUR, BEGIN + 2 * HOUR]
    assert planned_between(hourly(), BEGIN + 1, BEGIN + 2, 10) == []
    assert len(planned_between(hourly(), BEGIN, BEGIN + 99 * HOUR, 10)) == 11


def test_a_row_is_kept_as_it_was() -> None:
    kept = row(BEGIN, paused=True, last=7, run=8, runs=9, skipped=1, skipped_last=2, skipped_why="because")
    assert decode_row(encode_row(kept)) == kept
    with pytest.raises(DecodeFailed, match="a schedule"):
        decode_row(b"\x00")
    assert SCHEDULES == "schedule"
