"""What a node is like at a moment: what waits, what is set aside, what queues, what a client has to say."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onstage import App, Process, Retry, Service, event, sleep, wait
from onstage.runtime.measurements import LOOKED_AT_ONCE, measured
from onstage.stage import Stage


@event("measure.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str
    what: str = ""


@event("measure.approved", key="id")
@dataclass(frozen=True)
class Approved:
    id: str


@event("measure.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


shop = Service("shop")


@shop.on(Placed, retry=Retry(attempts=1))
async def take(e: Placed) -> Paid | None:
    match e.what:
        case "wait":
            await wait(Approved)
        case "sleep":
            await sleep("1h")
        case "fail":
            raise ValueError
    return None


APP = App(shop, Process("order", starts=Placed, done=Paid, external=[Approved]))


async def values(stage: Stage) -> dict[tuple[str, ...], float]:
    families = await measured(stage._node)  # noqa: SLF001  as the stage itself asks
    return {(family.name, *(v for _, v in s.labels)): s.value for family in families for s in family.samples}


async def until(stage: Stage, **wanted: float) -> dict[tuple[str, ...], float]:
    keys: Any = {("onstage_executions_open", "shop.take", name.replace("_", " ")): n for name, n in wanted.items()}
    async with asyncio.timeout(10):
        while True:
            found = await values(stage)
            if all(found.get(key) == n for key, n in keys.items()):
                return found
            await asyncio.sleep(0.005)


def test_each_open_execution_is_in_one_state() -> None:
    async def work() -> None:
        async with APP.run("memory:") as stage:
            for n in range(3):
                await stage.emit(Placed(f"w{n}", "wait"))
            await stage.emit(Placed("w0", "wait"))  # a second one of its key: it queues behind the first
            await stage.emit(Placed("s", "sleep"))
            await stage.emit(Placed("f", "fail"))
            found = await until(stage, waiting=3, retrying_or_sleeping=1, set_aside=1, active=1)
            assert found["onstage_lane_queue", "shop.take"] == 1
            assert found["onstage_lanes", "shop.take"] == 5
            assert (found["onstage_timers",], found["onstage_timer_late_seconds",]) == (1, 0)
            assert found["onstage_store_undurable_commits",] == 0
            assert found["onstage_store_commits",] >= 11
            assert found["onstage_node_running",] == 1

    asyncio.run(work())


def test_a_client_says_that_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    async def work() -> None:
        async with APP.run(f"sqlite:///{tmp_path}/a.db"), APP.run(f"sqlite:///{tmp_path}/a.db") as client:
            found = await values(client)
            assert {key[0] for key in found} == {"onstage", "onstage_node_running"}
            assert found["onstage_node_running",] == 0

    asyncio.run(work())
    assert LOOKED_AT_ONCE > 1
