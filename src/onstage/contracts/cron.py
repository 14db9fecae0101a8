"""When a schedule is due: five-field cron expressions on a time zone's wall clock, and plain intervals.

Theory of operation. A cron expression is five sets of numbers. The next moment is looked for day by day on the wall
clock and translated to UTC. Where the wall clock repeats an hour or leaves one out, the rule depends on the hours:

* chosen hours (`0 9 * * *`): each time of the wall clock once. One that is repeated runs the first time; one that is
  left out runs at the first moment after the gap;
* every hour (`*/15 * * * *`): real time goes on evenly, so a repeated hour runs twice and one left out not at all.

An interval is counted from 1970-01-01 00:00 UTC, so that its planned times do not depend on when a node was started.
Sources: POSIX crontab for the fields, cron(8) of Vixie for names, steps and "either day matches".
"""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, final

from onstage.events.duration import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DAYS_AHEAD_MAX", "INTERVAL_S_MIN", "Cron", "Interval", "Plan", "plan_of"]

DAYS_AHEAD_MAX: Final = 366 * 12
"""So far ahead the next day is looked for: 29 February may be eight years away. What is not due by then never is."""
INTERVAL_S_MIN: Final = 1.0
"""The shortest interval of a schedule, in seconds."""

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_TEXT_CHARS_MAX: Final = 256
_PART: Final = re.compile(r"(\*|[0-9A-Za-z]{1,3})(?:-([0-9A-Za-z]{1,3}))?(?:/([0-9]{1,3}))?")
_SHORT: Final = {
    "@yearly": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EXAMPLE: Final = '"0 9 * * MON-FRI" (minute, hour, day, month, weekday) or an interval such as "15m"'


class Plan(Protocol):
    """Tells when a schedule is due."""

    @property
    def text(self) -> str:
        """The plan as it was written, in one form."""
        ...

    def next_after(self, moment: datetime) -> datetime:
        """The first planned time after `moment`, both aware; the answer is in UTC."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Interval:
    """Due at every multiple of `length_ms` since 1970-01-01 00:00 UTC."""

    text: str
    length_ms: int

    def next_after(self, moment: datetime) -> datetime:
        """The next multiple after `moment`."""
        past_ms = (moment - _EPOCH) // timedelta(milliseconds=1)
        return _EPOCH + timedelta(milliseconds=(past_ms // self.length_ms + 1) * self.length_ms)


@final
@dataclass(frozen=True, slots=True)
class Cron:
    """Due when the wall clock of `zone` shows a minute, an hour and a day of these sets.

    `weekdays` count from Sunday, 0. If days and weekdays are both restricted, either will do. `last_day` stands for
    `L`, the last day of the month.
    """

    text: str
    zone: tzinfo
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    last_day: bool
    either: bool

    def next_after(self, moment: datetime) -> datetime:
        """The first planned time after `moment`. Raises ValueError if there is none within `DAYS_AHEAD_MAX` days."""
        day = moment.astimezone(self.zone).date() - timedelta(days=1)  # what a gap put off may belong to the day before
        for _ in range(DAYS_AHEAD_MAX):
            if self._is_on(day):
                moments = _moments_of(self, day)
                place = bisect_right(moments, moment)
                if place < len(moments):
                    return moments[place]
            day += timedelta(days=1)
        raise ValueError(f"{self.text!r} is never due")

    def _is_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_day = day.day in self.days or (self.last_day and day.day == monthrange(day.year, day.month)[1])
        by_weekday = day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either else by_day and by_weekday

    def moments(self, day: date) -> Iterator[datetime]:
        """The planned times of a day of the wall clock that is one of its days, in UTC and in no order."""
        evenly = len(self.hours) == 24
        for hour in self.hours:
            for minute in self.minutes:
                wall = datetime.combine(day, time(hour, minute))
                yield from self._both(wall) if evenly else (self._once(wall),)

    def _both(self, wall: datetime) -> Iterator[datetime]:
        for fold in (0, 1):
            at = wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
            if at.astimezone(self.zone).replace(tzinfo=None) == wall:
                yield at

    def _once(self, wall: datetime) -> datetime:
        first = next(self._both(wall), None)
        return _after_gap(wall, self.zone) if first is None else first


@lru_cache(maxsize=64)
def _moments_of(cron: Cron, day: date) -> tuple[datetime, ...]:
    # Whoever asks for one planned time of a day soon asks for the next.
    return tuple(sorted(set(cron.moments(day))))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _after_gap(wall: datetime, zone: tzinfo) -> datetime:
    """The first moment after the gap of the wall clock in which `wall` lies."""
    # Of the two readings of a time that does not exist, one lies before the gap and one behind it.
    readings = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    before, after = readings
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def plan_of(text: str | timedelta, zone: tzinfo) -> Plan:
    """The plan that `text` says: a cron expression of five fields, `@daily` and the like, or a duration.

    Raises:
        ValueError: with three lines (what, why, what to do) if it is none, or is never due.
    """
    if isinstance(text, timedelta) or (len(text.split()) == 1 and not text.startswith("@")):
        return _interval(text)
    if len(text) > _TEXT_CHARS_MAX:
        raise _bad(text, f"it has more than {_TEXT_CHARS_MAX} characters")
    fields = _SHORT.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise _bad(text, f"it has {len(fields)} fields, of five")
    try:
        cron = _cron(" ".join(text.split()), fields, zone)
    except ValueError as error:
        raise _bad(text, str(error)) from None
    try:
        cron.next_after(datetime(2000, 1, 1, tzinfo=UTC))
    except ValueError:
        raise _bad(text, "there is no such day") from None
    return cron


def _interval(text: str | timedelta) -> Interval:
    try:
        length_s = seconds(text)
    except ValueError as error:
        raise _bad(text, str(error).splitlines()[1].removeprefix("  why: ")) from None
    if length_s < INTERVAL_S_MIN:
        raise _bad(text, f"an interval is at least {INTERVAL_S_MIN:g} s")
    shown = f"{length_s:g}s" if isinstance(text, timedelta) else text.strip()
    return Interval(shown, round(length_s * 1000))


def _cron(text: str, fields: list[str], zone: tzinfo) -> Cron:
    minute, hour, day, month, weekday = fields
    day_parts = day.upper().split(",")
    listed = [part for part in day_parts if part != "L"]
    weekdays = frozenset(number % 7 for number in _set("weekday", weekday, 0, 7, _DAYS))
    return Cron(
        text,
        zone,
        tuple(sorted(_set("minute", minute, 0, 59))),
        tuple(sorted(_set("hour", hour, 0, 23))),
        _set("day", ",".join(listed), 1, 31) if listed else frozenset(),
        _set("month", month, 1, 12, _MONTHS, first=1),
        weekdays,
        "L" in day_parts,
        not day.startswith("*") and not weekday.startswith("*"),
    )


def _set(field: str, text: str, low: int, high: int, names: tuple[str, ...] = (), *, first: int = 0) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        matched = _PART.fullmatch(part)
        if matched is None:
            raise ValueError(f"{part[:20]!r} is no {field}")
        begin, end, step = matched.groups()
        start = low if begin == "*" else _number(field, begin, low, high, names, first)
        last = _last(field, begin, end, low, high, names, first, has_step=step is not None)
        every = 1 if step is None else int(step)
        if every < 1 or (begin == "*" and end is not None):
            raise ValueError(f"{part!r} is no {field}")
        if last < start:
            raise ValueError(f"the {field} range {part!r} ends before it begins")
        found.update(range(start, last + 1, every))
    return frozenset(found)


def _last(
    field: str, begin: str, end: str | None, low: int, high: int, names: tuple[str, ...], first: int, *, has_step: bool
) -> int:
    if end is not None:
        last = _number(field, end, low, high, names, first)
        return 7 if field == "weekday" and end.upper() == "SUN" else last
    if begin == "*" or has_step:
        return 6 if field == "weekday" else high
    return _number(field, begin, low, high, names, first)


def _number(field: str, text: str, low: int, high: int, names: tuple[str, ...], first: int) -> int:
    name = text.upper()
    if name in names:
        return names.index(name) + first
    if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is no {field}, which goes from {low} to {high}")
    return int(text)


def _bad(text: object, why: str) -> ValueError:
    shown = repr(text)[:_TEXT_CHARS_MAX]
    return ValueError(f"not a schedule: {shown}\n  why: {why}\n  to do: write {_EXAMPLE}")
