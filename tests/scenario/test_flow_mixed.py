"""All of flow control together, in worlds drawn from seeds: pauses, restarts, failing steps, bursts and batches."""

import asyncio
from random import Random

import pytest
from tests.scenario.flow_scenes import Edited, Saved, Task, run_for
from tests.scenario.sim_checks import check_settled

from onstage import App, Retry, Service, step
from onstage.testing import Sim

ACTIONS = 40
RATE_PER_S = 20
PAUSABLE = ("mixed", "mixed.load", "mixed.serve", "mixed.keep")

loaded: list[tuple[str, ...]] = []
worked: list[tuple[float, str]] = []


@step(retry=Retry(3, first="500ms"))
async def write(ids: list[str]) -> None:
    loaded.append(tuple(ids))
    await asyncio.sleep(0.2)


@step(retry=Retry(3, first="500ms"))
async def work(name: str) -> None:
    worked.append((asyncio.get_running_loop().time(), name))
    await asyncio.sleep(0.01)


def mixed() -> App:
    service = Service("mixed", concurrency=6)

    @service.on(Task, batch=4, batch_wait="2s", retry=Retry(2, first="1s"))
    async def load(events: list[Task]) -> None:
        await write([each.id for each in events])

    @service.on(
        Task,
        concurrency=3,
        rate=f"{RATE_PER_S}/s",
        rate_per_key="5/s",
        fair_by="tenant",
        priority="urgency",
        retry_budget=0.5,
        retry=Retry(4, first="1s"),
    )
    async def serve(e: Task) -> None:
        await work(e.id)

    @service.on(Edited, debounce="3s", max_wait="8s")
    async def keep(e: Edited) -> Saved:
        return Saved(e.page, e.n)

    return App(service)


async def play(sim: Sim, random: Random) -> tuple[list[str], dict[str, int]]:
    """Draw what happens; answers the tasks that were emitted, and the last edit of each page."""
    tasks: list[str] = []
    pages: dict[str, int] = {}
    paused: set[str] = set()
    for n in range(ACTIONS):
        match random.choice(["task", "task", "task", "edit", "edit", "pause", "resume", "restart", "fail", "time"]):
            case "task":
                for _ in range(random.randint(1, 5)):
                    tasks.append(f"t{len(tasks)}")
                    await sim.emit(Task(tasks[-1], random.choice("abc"), random.randint(0, 9)), id=tasks[-1])
            case "edit":
                page = random.choice("pq")
                pages[page] = n
                await sim.emit(Edited(page, n), id=f"edit {n}")
            case "pause":
                name = random.choice(PAUSABLE)
                paused.add(name)
                await sim.pause(name)
            case "resume" if paused:
                name = random.choice(sorted(paused))
                paused.remove(name)
                await sim.resume(name)
            case "restart":
                await sim.restart()
            case "fail":
                sim.fail(random.choice([write, work]), ConnectionError("no line"), times=random.randint(1, 3))
            case _:
                await run_for(sim, random.choice([0.05, 0.7, 2.5, 6]))
    for name in sorted(paused):
        await sim.resume(name)
    await sim.advance("10m")
    return tasks, pages


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_doubled_or_too_fast_whatever_happens(seed: int) -> None:
    loaded.clear()
    worked.clear()

    async def scene() -> None:
        async with Sim(mixed(), seed=seed) as sim:
            tasks, pages = await play(sim, Random(seed))
            for key in tasks:
                await sim.operate("retry", key)  # whatever was set aside, by failures that have ended
            await sim.advance("10m")
            batches = set(loaded)
            assert sorted(name for batch in batches for name in batch) == sorted(tasks)
            for batch in batches:
                assert sorted(batch, key=tasks.index) == list(batch)
            assert {name for _, name in worked} == set(tasks)
            last = {saved.page: saved.n for saved in sim.emitted(Saved)}
            assert last == pages
            begins = sorted(at for at, _ in worked)
            restarts = sim.world.kills
            for at in begins:
                within = sum(at <= other < at + 10 for other in begins)
                assert within <= 10 * RATE_PER_S + RATE_PER_S + restarts
            check_settled(sim)

    asyncio.run(scene())
