"""What the tests of cancellations in branches have in common: steps, events, and how an end is looked at."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.sim_checks import check_settled, everything

from onstage import App, Request, Service, event, step
from onstage.errors import AskFailed
from onstage.events.receipt import Status
from onstage.testing import Sim

effects: list[str] = []


def unmade(result: str, name: str) -> None:
    effects.append(f"unmake {name}")


@step(undo=unmade)
async def make(name: str) -> str:
    effects.append(f"make {name}")
    return name


@step
async def note(name: str) -> str:
    effects.append(f"note {name}")
    return name


@event("branchy.left", key="key")
@dataclass(frozen=True)
class Left:
    key: str


@event("branchy.right", key="key")
@dataclass(frozen=True)
class Right:
    key: str


@event("branchy.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    key: str


def statuses(sim: Sim) -> list[Status]:
    _, executions, _ = sim.read(everything)
    return [Status(view.status) for view in executions]


def workflow(body: Callable[[str], Awaitable[Any]], **options: Any) -> tuple[App, Any]:
    house = Service("house")

    async def run(order: str) -> str:
        return str(await body(order))

    handler = house.workflow(waits=[Left, Right], **options)(run)
    return App(house), handler


async def is_cancelled(sim: Sim, process: str) -> None:
    await sim.settle()
    with pytest.raises(AskFailed, match="cancelled"):
        sim.result(process)
    assert set(statuses(sim)) == {Status.CANCELLED}, sim.history(process)
    assert sim.read(lambda reader: reader.notes("cancel")) == []
    check_settled(sim)


def once(names: list[str]) -> list[str]:
    """Without repetitions: a crash may let an effect happen again."""
    return list(dict.fromkeys(names))


def played(app: App, scene: Callable[[Sim], Awaitable[None]], seed: int = 5) -> None:
    async def story() -> None:
        async with Sim(app, seed=seed) as sim:
            await scene(sim)

    asyncio.run(story())
