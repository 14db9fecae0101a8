"""Schedules as they are declared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from onstage import App, Service
from onstage.contracts.schedule import OVERLAPS, Tick, schedule_of, tick_types
from onstage.errors import DefinitionError

PLANNED = datetime(2026, 1, 1, 9, tzinfo=UTC)


def test_a_schedule_says_its_plan_with_its_zone() -> None:
    schedule = schedule_of("a.b", "0 9  * * *", {"tz": "Europe/Berlin", "catch_up": "90s"}, "here")
    assert (schedule.said, schedule.overlap, schedule.catch_up_ms) == ("0 9 * * * Europe/Berlin", OVERLAPS[0], 90_000)
    assert schedule_of("a.b", "15m", {}, "here").said == "15m UTC"


@pytest.mark.parametrize(
    ("plan", "options", "told"),
    [
        ("61 * * * *", {}, "'61' is no minute"),
        ("0 9 * * *", {"tz": "Europe/Atlantis"}, "time zone data"),
        ("0 9 * * *", {"tz": "../../etc/passwd"}, "time zone data"),
        ("0 9 * * *", {"overlap": "perhaps"}, "no such choice"),
        ("0 9 * * *", {"catch_up": "soon"}, "not a number with a unit"),
        ("0 9 * * *", {"often": True}, "none so named"),
    ],
)
def test_what_is_impossible_is_refused_where_it_is_declared(plan: str, options: Any, told: str) -> None:
    service = Service("clock")
    with pytest.raises(DefinitionError, match=told):

        @service.every(plan, **options)
        async def run() -> None: ...

    assert service.handlers == ()


def test_a_scheduled_function_takes_nothing_or_the_tick() -> None:
    service = Service("clock")

    @service.every("1h")
    async def without() -> None: ...

    @service.every("1h", was="former")
    async def with_tick(tick: Tick) -> None: ...

    async def with_two(tick: Tick, more: int) -> None: ...

    declare: Callable[[Any], Any] = service.every("1h")
    with pytest.raises(DefinitionError, match="does not take exactly one event"):
        declare(with_two)
    assert [handler.takes_event for handler in service.handlers] == [False, True]
    assert all(handler.on_failure == "park" for handler in service.handlers)
    names = [known.name for handler in service.handlers for known in handler.triggers]
    assert names == ["onstage.tick/clock.without", "onstage.tick/clock.with_tick", "onstage.tick/clock.former"]
    assert App(service).services == (service,)


def test_runs_that_must_not_overlap_share_a_lane() -> None:
    for overlap, key in (("skip", "a.b"), ("queue", "a.b"), ("allow", None)):
        schedule = schedule_of("a.b", "1h", {"overlap": overlap}, "here")  # type: ignore[typeddict-item]
        known = tick_types(["a.b"], schedule, "here")[0]
        tick = known.cls("a.b", PLANNED)
        assert known.key_of(tick) == key
        assert known.decode(known.encode(tick)) == tick
        assert isinstance(tick, Tick)
