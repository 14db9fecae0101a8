"""When a schedule is due, against an oracle that looks at every minute of a zone's wall clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from onstage.contracts.cron import DAYS_AHEAD_MAX, INTERVAL_S_MIN, Cron, Interval, plan_of

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
LORD_HOWE, APIA, SAO_PAULO = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia"), ZoneInfo("America/Sao_Paulo")
MINUTE = timedelta(minutes=1)


def at(text: str, zone: ZoneInfo | None = None) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC).astimezone(UTC)


def fits(cron: Cron, wall: datetime) -> bool:
    """Whether the expression names this minute: the fields spelled out, without a calendar's help."""
    last = (wall + timedelta(days=1)).month != wall.month
    day = wall.day in cron.days or (cron.last_day and last)
    weekday = (wall.weekday() + 1) % 7 in cron.weekdays
    on_day = (day or weekday) if cron.either else (day and weekday)
    return wall.minute in cron.minutes and wall.hour in cron.hours and wall.month in cron.months and on_day


def spelled_out(cron: Cron, begin: datetime, days: int) -> list[datetime]:
    """All planned times of some days, minute by minute of real time; what the wall clock leaves out comes behind it."""
    found, shown = list[datetime](), set[datetime]()
    evenly = len(cron.hours) == 24
    before = begin.astimezone(cron.zone).replace(tzinfo=None)
    for count in range(1, days * 24 * 60):
        moment = begin + count * MINUTE
        wall = moment.astimezone(cron.zone).replace(tzinfo=None)
        left_out = () if evenly else walked(before, wall)
        if any(fits(cron, each) for each in left_out) or (fits(cron, wall) and (evenly or wall not in shown)):
            found.append(moment)
        shown.add(wall)
        before = wall
    return found


def walked(before: datetime, wall: datetime) -> Iterator[datetime]:
    while (before := before + MINUTE) < wall:
        yield before


def first_ones(cron: Cron, begin: datetime, days: int) -> list[datetime]:
    found, moment, end = list[datetime](), begin, begin + timedelta(days=days)
    while (moment := cron.next_after(moment)) < end:
        found.append(moment)
    return found


FIELDS = (
    ("*", "0", "30", "*/15", "5,35", "10-12", "50-59/3", "0/20"),
    ("*", "2", "1-3", "*/6", "0,2,23", "22-23", "2", "0-23"),
    ("*", "1", "29", "L", "*/10", "1,L", "26-31"),
    ("*", "3", "OCT", "3,10", "MAR-APR", "*/2"),
    ("*", "SUN", "MON-FRI", "0,3", "FRI-SUN", "7", "*/2"),
)
TRANSITIONS = (
    (BERLIN, "2026-03-28T12:00"),
    (BERLIN, "2026-10-24T12:00"),
    (NEW_YORK, "2026-03-07T12:00"),
    (NEW_YORK, "2026-10-31T12:00"),
    (LORD_HOWE, "2026-04-03T12:00"),
    (LORD_HOWE, "2026-10-02T12:00"),
    (SAO_PAULO, "2018-11-03T12:00"),
    (UTC, "2026-02-27T12:00"),
)


@settings(max_examples=60)
@given(some.tuples(*(some.sampled_from(field) for field in FIELDS)), some.sampled_from(TRANSITIONS))
def test_every_planned_time_is_the_one_of_the_oracle(fields: tuple[str, ...], where: tuple[ZoneInfo, str]) -> None:
    zone, begin = where
    try:
        cron = plan_of(" ".join(fields), zone)
    except ValueError:
        with pytest.raises(ValueError, match="there is no such day"):
            plan_of(" ".join(fields), zone)
        return
    assert isinstance(cron, Cron)
    assert first_ones(cron, at(begin), 2) == spelled_out(cron, at(begin), 2)


def test_a_time_that_is_left_out_runs_behind_the_gap_and_one_that_is_repeated_runs_once() -> None:
    cron = plan_of("30 2 * * *", BERLIN)
    assert cron.next_after(at("2026-03-28T12:00")) == at("2026-03-29T03:00", BERLIN)
    assert cron.next_after(at("2026-03-29T01:00")) == at("2026-03-30T02:30", BERLIN)
    assert cron.next_after(at("2026-10-24T12:00")) == at("2026-10-25T00:30")
    assert cron.next_after(at("2026-10-25T00:30")) == at("2026-10-26T02:30", BERLIN)


def test_every_hour_goes_on_evenly_through_both() -> None:
    cron = plan_of("0 * * * *", BERLIN)
    for day in ("2026-03-29", "2026-10-25"):
        found = [at(f"{day}T00:00") - timedelta(hours=3)]
        found += [cron.next_after(moment) for moment in found]
        assert first_ones(plan_of("0 * * * *", BERLIN), at(f"{day}T00:00"), 1) == [  # type: ignore[arg-type]
            at(f"{day}T00:00") + timedelta(hours=hour) for hour in range(1, 24)
        ]


def test_a_day_that_a_zone_left_out_is_one_run_behind_it() -> None:
    cron = plan_of("0 9,15 * * *", APIA)  # Samoa had no 30 December 2011
    assert cron.next_after(at("2011-12-29T16:00", APIA)) == at("2011-12-31T00:00", APIA)
    assert cron.next_after(at("2011-12-31T00:00", APIA)) == at("2011-12-31T09:00", APIA)


def test_a_leap_day_across_a_century_is_found() -> None:
    cron = plan_of("0 0 29 2 *", UTC)
    assert cron.next_after(at("2096-03-01T00:00")) == at("2104-02-29T00:00")
    assert DAYS_AHEAD_MAX > 8 * 366


def test_both_day_fields_mean_either() -> None:
    cron = plan_of("0 0 13 * FRI", UTC)
    assert first_ones(cron, at("2026-11-01T00:00"), 14) == [  # type: ignore[arg-type]
        at("2026-11-06T00:00"),
        at("2026-11-13T00:00"),
    ]


def test_an_interval_is_counted_from_the_epoch_and_does_not_drift() -> None:
    plan = plan_of("15m", UTC)
    assert isinstance(plan, Interval)
    moment = at("2026-01-01T00:00")
    for count in range(1, 200):
        late = moment + timedelta(seconds=count * 37 % 800)
        moment = at("2026-01-01T00:00") + count * timedelta(minutes=15)
        assert plan.next_after(late) == moment
    assert plan_of(timedelta(seconds=90), UTC).text == "90s"
    assert INTERVAL_S_MIN == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("60 * * * *", "'60' is no minute, which goes from 0 to 59"),
        ("* * * *", "it has 4 fields, of five"),
        ("0 9 * * MON-", "'MON-' is no weekday"),
        ("0 9 * * ,", "'' is no weekday"),
        ("5-1 * * * *", "the minute range '5-1' ends before it begins"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("*-3 * * * *", "'*-3' is no minute"),
        ("0 0 30 2 *", "there is no such day"),
        ("0 0 0 * *", "'0' is no day, which goes from 1 to 31"),
        ("0 0 * JAM *", "'JAM' is no month, which goes from 1 to 12"),
        ("٣ * * * *", "'٣' is no minute"),
        ("@often", "it has 1 fields, of five"),
        ("soon", "it is not a number with a unit (w, d, h, m, s or ms)"),
        ("500ms", "an interval is at least 1 s"),
        ("0 " * 200, "it has more than 256 characters"),
    ],
)
def test_what_is_no_schedule_is_refused_in_three_lines(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="not a schedule") as refused:
        plan_of(text, UTC)
    what, told, mend = str(refused.value).splitlines()
    assert what.startswith("not a schedule: ")
    assert told == f"  why: {why}"
    assert mend.startswith("  to do: write ")


@given(some.text(alphabet="0123456789*/-,LMONJAFEB @dhms", max_size=40))
def test_any_text_is_a_plan_or_refused(text: str) -> None:
    try:
        plan = plan_of(text, BERLIN)
    except ValueError:
        with pytest.raises(ValueError, match="not a schedule"):
            plan_of(text, BERLIN)
        return
    moment = plan.next_after(at("2026-01-01T00:00"))
    assert moment > at("2026-01-01T00:00")
    assert plan.next_after(moment - timedelta(milliseconds=1)) == moment
