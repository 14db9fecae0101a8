"""``Schedule``: when a handler is due by the clock, and what happens to runs that overlap or were missed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Literal, TypedDict, TypeVar, final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from onstage.contracts.cron import Plan, plan_of
from onstage.contracts.inference import Duration, Events
from onstage.errors import refusal
from onstage.events.duration import seconds
from onstage.events.event import EventType, define_event

__all__ = ["OVERLAPS", "Schedule", "ScheduleOptions", "Scheduled", "Tick", "schedule_of", "tick_types"]

R = TypeVar("R")
Scheduled = Callable[[], Coroutine[Any, Any, R]] | Callable[["Tick"], Coroutine[Any, Any, R]]
"""What can be scheduled: it takes nothing, or the `Tick`."""

OVERLAPS: Final = ("skip", "queue", "allow", "cancel-other")
TICK_PREFIX: Final = "onstage.tick/"


@dataclass(frozen=True)
class Tick:
    """One planned run: of which schedule (`service.handler`), and for when it was planned (UTC).

    It may begin later than planned. Exactly one event exists for each planned time, crashes or not.
    """

    schedule: str
    planned: datetime


class ScheduleOptions(TypedDict, total=False):
    """The options of ``Service.every``.

    ``tz`` is the time zone of a cron expression ("Europe/Berlin"; UTC if left out). ``overlap`` says what happens when
    a run is due while the one before is under way: it is left out ("skip"), waits ("queue"), runs beside it ("allow"),
    or cancels that one and runs once it has ended ("cancel-other"). Runs missed by at most ``catch_up`` ("1h") are run
    late, older ones are left out and counted. The others
    are those of ``HandlerOptions``.
    """

    tz: str | tzinfo
    overlap: Literal["skip", "queue", "allow", "cancel-other"]
    catch_up: Duration
    name: str | None
    was: Iterable[str]
    retry: object | None
    timeout: Duration | None
    emits: Events
    waits: Events


@final
@dataclass(frozen=True, slots=True)
class Schedule:
    """When a handler is due. ``said`` is the plan with its time zone, as a store keeps it."""

    plan: Plan
    said: str
    overlap: str
    catch_up_ms: int


def schedule_of(owner: str, text: str | timedelta, options: ScheduleOptions, where: str) -> Schedule:
    """The schedule that these options say.

    Raises:
        DefinitionError: if the text is no plan, the time zone is unknown here, or an option is impossible.
    """
    what = f"the schedule of {owner}"
    zone, zone_name = _zone(what, options.get("tz", UTC), where)
    try:
        plan = plan_of(text, zone)
    except ValueError as error:
        _, why, mend = str(error).splitlines()
        raise refusal(
            f"{what} is {text!r}", why.removeprefix("  why: "), mend.removeprefix("  to do: "), where
        ) from None
    overlap = options.get("overlap", "skip")
    if overlap not in OVERLAPS:
        mend = f"choose one of {', '.join(map(repr, OVERLAPS))}"
        raise refusal(f"{what} has overlap={overlap!r}", "there is no such choice", mend, where)
    try:
        catch_up_s = seconds(options.get("catch_up", "1h"))
    except ValueError as error:
        why = str(error).splitlines()[1].removeprefix("  why: ")
        raise refusal(f"{what} has a wrong catch_up=", why, 'write catch_up="1h", say', where) from None
    return Schedule(plan, f"{plan.text} {zone_name}", overlap, round(catch_up_s * 1000))


def _zone(what: str, zone: str | tzinfo, where: str) -> tuple[tzinfo, str]:
    if isinstance(zone, tzinfo):
        return zone, str(getattr(zone, "key", None) or zone)
    try:
        return ZoneInfo(zone), zone
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        why = "this machine's time zone data (zoneinfo) does not have it"
        mend = 'write a name such as "Europe/Berlin", and see that the system package tzdata is installed'
        raise refusal(f"{what} has tz={zone!r}", why, mend, where) from None


def tick_types(names: Iterable[str], schedule: Schedule, where: str) -> tuple[EventType, ...]:
    """The event types of the runs of a handler with these full names: the present one first, then former ones.

    Runs that must not overlap have the schedule as their key: its lane keeps them apart.
    """
    key = None if schedule.overlap == "allow" else "schedule"
    types = []
    for name in names:
        own: type[Any] = type("Tick", (Tick,), {"__module__": __name__, "__doc__": Tick.__doc__})
        cls = dataclass(frozen=True)(own)
        types.append(define_event(cls, name=f"{TICK_PREFIX}{name}", key=key, where=where))
    return tuple(types)
