"""What `ps` and `show` add to the reasons of a verdict: limits of a handler, and steps that somebody else completes."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from onstage import App, Service, event, sleep, step
from onstage.contracts.flow_options import Flow
from onstage.durable import CompletedElsewhere
from onstage.events.rate import rate_of
from onstage.observe.verdict import Verdict
from onstage.reading.store_file import looking_at
from onstage.reading.why_open import LOOKED_AT_MAX, explained
from onstage.stage import Stage


@event("why.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


@event("why.napped", key="id")
@dataclass(frozen=True)
class Napped:
    id: str


shop = Service("shop")


@step(completion_timeout="1h")
async def sign(id: str) -> str:
    raise CompletedElsewhere


@shop.on(Placed, name="signed")
async def signed(e: Placed) -> None:
    await sign(e.id)


@shop.on(Napped, name="nap")
async def nap(e: Napped) -> None:
    await sleep("1h")


@shop.on(Napped, name="seldom", rate="1/h", fair_by="id", gating=False)
async def seldom(e: Napped) -> None:
    return


APP = App(shop)


async def until_parked(stage: Stage, event: object) -> str:
    process = await stage.emit(event)
    async with asyncio.timeout(10):
        while True:
            if (await process.verdict()).status == "waiting":
                return process.id
            await asyncio.sleep(0.005)


def test_a_step_that_is_completed_elsewhere_is_no_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    async def work() -> None:
        async with APP.run(f"sqlite:///{tmp_path}/a.db") as stage:
            await until_parked(stage, Placed("s"))
            await until_parked(stage, Napped("n"))
        with looking_at(tmp_path / "a.db") as store:
            first, second = sorted(view.id for view in await store.reader.processes())
            waiting = Verdict("waiting", None, ("shop.signed sleeps until noon", "shop.nap sleeps until noon"))
            told = await explained(store, first, waiting)
            assert told.reasons == (
                "shop.signed waits for sign to be completed from outside until noon",
                "shop.nap sleeps until noon",
            )
            assert await explained(store, second, waiting) == waiting
            running = Verdict("running", None, ("shop.seldom is ready", "shop.nap is ready", "shop.seldom is retrying"))
            assert (await explained(store, second, running)).reasons == (
                "shop.seldom is ready (rate 1/3600s, fair by id)",
                "shop.nap is ready",
                "shop.seldom is retrying",
            )

    asyncio.run(work())
    assert LOOKED_AT_MAX > 1


def test_limits_are_said_in_words() -> None:
    flow = Flow(rate=rate_of("100/s"), rate_per_key=rate_of("5/10s"), priority=7, batch=10, batch_wait_s=1.5)
    assert flow.words == ("rate 100/s", "rate per key 5/10s", "priority 7", "batch of 10", "within 1.5 s")
    assert Flow().words == ()
