"""Long steps: heartbeats keep an attempt alive, end it when they stop, and tell the next one where to go on."""

import asyncio
import threading
from dataclasses import dataclass

import pytest
from tests.scenario.sim_checks import check_accounts, check_settled

from onstage import App, Retry, Service, event, step
from onstage.durable import heartbeat, last_heartbeat
from onstage.errors import StepFailed
from onstage.testing import Sim


@event("film.asked", key="key")
@dataclass(frozen=True)
class Asked:
    key: str
    until: int = 10


@event("film.cut", key="key")
@dataclass(frozen=True)
class Cut:
    key: str
    said: str


@dataclass(frozen=True)
class Reel:
    scene: int


begun_at: list[int] = []
films = Service("films")


@step(retries=3, heartbeat_timeout="30s")
async def cut(key: str, until: int) -> str:
    last = last_heartbeat(Reel)
    first = last.scene + 1 if last is not None else 0
    begun_at.append(first)
    for scene in range(first, until):
        await asyncio.sleep(20)
        heartbeat(Reel(scene))
    return f"{first} to {until}"


@step(retries=1, heartbeat_timeout="30s")
async def stall(key: str) -> str:
    begun_at.append(last_heartbeat() or 0)
    heartbeat(7)
    await asyncio.sleep(31)
    raise AssertionError("nobody may come here")


@films.on(Asked)
async def edit(e: Asked) -> Cut:
    try:
        return Cut(e.key, await (cut(e.key, e.until) if e.until else stall(e.key)))
    except StepFailed as error:
        return Cut(e.key, error.error.partition("\n")[0])


APP = App(films)


def said(sim: Sim) -> list[str]:
    check_settled(sim)
    check_accounts(sim)
    assert sim.read(lambda reader: reader.notes("heartbeat")) == [], "forgotten with the step"
    return [each.said for each in sim.emitted(Cut)]


async def restarted(sim: Sim) -> list[str]:
    """What became of it; the node has started anew, which forgets what failed steps left behind."""
    await sim.restart()
    await sim.settle()
    return said(sim)


async def long_cut(sim: Sim) -> None:
    begun_at.clear()
    await sim.emit(Asked("k"), id="k")
    await sim.settle()
    (last,) = said(sim)
    assert last.endswith("to 10")
    assert begun_at == sorted(begun_at)


def test_an_attempt_lives_as_long_as_it_says_so() -> None:
    async def play() -> None:
        async with Sim(APP, seed=1) as sim:
            await long_cut(sim)
            assert begun_at == [0], "200 s in one attempt, with 30 s for each heartbeat"

    asyncio.run(play())


def test_after_a_crash_it_goes_on_where_the_last_heartbeat_was() -> None:
    later = 0

    async def play(sim: Sim) -> None:
        nonlocal later
        await long_cut(sim)
        later = max(later, *begun_at)

    async def every() -> int:
        return await Sim(APP, seed=2).every_crash(play)

    assert asyncio.run(every()) >= 12
    assert later >= 8, "what was said before the crash was read after it"


def test_an_attempt_whose_heartbeats_stop_is_over() -> None:
    async def play() -> list[str]:
        async with Sim(APP, seed=3) as sim:
            begun_at.clear()
            await sim.emit(Asked("k", 0))
            await sim.settle()
            return await restarted(sim)

    (why,) = asyncio.run(play())
    assert why.startswith("TimeoutError: no heartbeat for 30 s")
    assert begun_at == [0, 7], "the second attempt knows what the first one said"


def test_a_failing_attempt_leaves_what_it_said_last() -> None:
    restless = Service("restless")
    seen: list[int | None] = []

    @step(retries=1, heartbeat_timeout="30s")
    async def fail_once(key: str) -> int:
        seen.append(last_heartbeat(int))
        if last_heartbeat() is None:
            for n in range(5):  # all within one pace: only the first is written at once
                heartbeat(n)
            raise ConnectionError
        return 0

    @restless.on(Asked)
    async def handle(e: Asked) -> None:
        await fail_once(e.key)

    async def play() -> None:
        async with Sim(App(restless), seed=4) as sim:
            await sim.emit(Asked("k"))
            await sim.settle()
            said(sim)

    asyncio.run(play())
    assert seen == [None, 4]


def test_a_thread_whose_heartbeats_stopped_is_waited_for_and_told() -> None:
    """On a real node: attempts of one step never overlap, and the thread learns that it is over."""
    running, most = 0, 0
    told: list[str] = []
    goes_on = threading.Event()
    threads = Service("threads")

    @step(retry=Retry(2, first="1ms"), heartbeat_timeout="50ms")
    def work(key: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            if told:
                return "done"
            heartbeat({"first": True})
            for _ in range(1000):
                goes_on.wait(0.01)
                if goes_on.is_set():
                    heartbeat()
            raise AssertionError("a heartbeat tells it to end")
        except TimeoutError as error:
            told.append(str(error))
            raise
        finally:
            running -= 1

    @threads.on(Asked)
    async def handle(e: Asked) -> Cut:
        return Cut(e.key, await work(e.key))

    async def play() -> str:
        async with App(threads).run("memory:") as stage:
            process = await stage.emit(Asked("k"))
            await asyncio.sleep(0.2)
            assert running == 1, "the thread goes on, and nothing beside it"
            goes_on.set()
            verdict = await process.verdict(timeout="10s")
            assert verdict.is_final
            async with stage.reading() as reader:
                (made,) = await reader.events(type="film.cut")
            return made.data.decode()

    assert '"done"' in asyncio.run(play())
    assert most == 1
    assert told
    assert "this attempt of work is over" in told[0]


@pytest.mark.parametrize("pace", [0.0, 100.0])
def test_heartbeats_are_written_at_a_pace(pace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred within one second are few commits, however many are said."""
    monkeypatch.setattr("onstage.runtime.long_step.HEARTBEAT_PACE_S", pace)
    quick = Service("quick")

    @step(heartbeat_timeout="30s")
    async def beat(key: str) -> None:
        for n in range(100):
            await asyncio.sleep(0.01)
            heartbeat(n)

    @quick.on(Asked)
    async def handle(e: Asked) -> None:
        await beat(e.key)

    async def play() -> int:
        async with Sim(App(quick), seed=5) as sim:
            await sim.emit(Asked("k"))
            await sim.settle()
            return sim.world.batches

    assert (asyncio.run(play()) > 50) == (pace == 0.0)
