"""Events and apps for the tests of flow control, and what they have seen: when each handler began, by virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from onstage import App, Service, event, step
from onstage.testing import Sim


@event("flow.many", key="id")
@dataclass(frozen=True)
class Many:
    """Asks for so many tasks of one tenant."""

    id: str
    tenant: str
    count: int


@event("flow.task", key="id")
@dataclass(frozen=True)
class Task:
    id: str
    tenant: str = ""
    urgency: int = 4


@event("flow.edited", key="page")
@dataclass(frozen=True)
class Edited:
    page: str
    n: int = 0


@event("flow.saved", key="page")
@dataclass(frozen=True)
class Saved:
    page: str
    n: int = 0


began: list[tuple[float, str]] = []
"""The virtual time (s) and the id of each attempt of `work`."""


@step(retries=2)
async def work(id: str) -> str:
    began.append((asyncio.get_running_loop().time(), id))
    await asyncio.sleep(0.01)
    return id


async def many(e: Many) -> list[Task]:
    return [Task(f"{e.tenant}-{n}", e.tenant) for n in range(e.count)]


async def run_task(e: Task) -> None:
    await work(e.id)


def tasks(*, concurrency: int | None = None, rate: str | None = None, **options: Any) -> App:
    """An app with one handler of tasks, which takes 10 ms each; `Many` asks for many of them."""
    service = Service("flow", concurrency=concurrency, rate=rate)
    service.on(Many)(many)
    service.on(Task, **options)(run_task)
    return App(service)


def played(app: App, scene: Callable[[Sim], Awaitable[None]], *, seed: int = 0) -> None:
    """Play one scene in a fresh world."""
    began.clear()

    async def play() -> None:
        async with Sim(app, seed=seed) as sim:
            await scene(sim)

    asyncio.run(play())


def begun(id: str) -> float | None:
    """When `work` first began for this id."""
    return next((at for at, each in began if each == id), None)


async def run_for(sim: Sim, seconds: float) -> None:
    """Let time pass without waiting for the world to come to rest."""
    await asyncio.get_running_loop().run_in_executor(
        sim._thread,  # noqa: SLF001  the world's thread
        lambda: sim.world._run_to(round(sim.world.loop.time() + seconds, 3)),  # noqa: SLF001
    )
