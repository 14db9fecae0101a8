"""`onstage schedules`, and schedules among the timers."""

from pathlib import Path
from typing import Any

CLOCK = """
clock = Service("clock")


@clock.every("0 9 * * MON-FRI", tz="Europe/Berlin")
async def open_shop() -> None:
    pass


app = App(payment, mail, clock, order)
"""


def with_clock(tiny: Any) -> None:
    module = Path(tiny.folder) / f"{tiny.module}.py"
    module.write_text(module.read_text() + CLOCK)
    tiny.play(("o1", 5))


def test_schedules_are_listed_with_the_run_that_comes_next(tiny: Any) -> None:
    with_clock(tiny)
    (row,) = tiny.json("schedules", "ls")
    assert (row["schedule"], row["plan"], row["status"]) == ("clock.open_shop", "0 9 * * MON-FRI Europe/Berlin", "on")
    (timer,) = tiny.json("timers")
    assert (timer["due_ms"], timer["what"]) == (row["due_ms"], "next run of 0 9 * * MON-FRI Europe/Berlin")
    assert "clock.open_shop" in tiny.run("schedules", "ls").stdout


def test_a_schedule_is_paused_resumed_and_backfilled_though_no_node_runs(tiny: Any) -> None:
    with_clock(tiny)
    assert tiny.run("schedules", "pause", "clock.open_shop").stdout == "clock.open_shop is paused\n"
    assert tiny.json("schedules", "ls")[0]["status"] == "paused"
    assert tiny.json("timers") == []
    assert tiny.json("schedules", "resume", "clock.open_shop")["done"] == "clock.open_shop runs again"
    week = ("--from", "2026-01-05", "--to", "2026-01-11T23:00:00+01:00")
    told = tiny.run("schedules", "backfill", "clock.open_shop", *week).stdout
    assert told == "clock.open_shop: 5 runs added, 0 had been emitted before\n"
    assert tiny.run("schedules", "pause", "clock.close_shop").exit_code == 2
    assert tiny.run("schedules", "backfill", "clock.open_shop", "--from", "x", "--to", "y").exit_code == 2
    assert tiny.run("schedules", "backfill", "clock.open_shop", "--from", "14d").exit_code == 0
