"""A handler with branches, for the tests of what becomes of them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from onstage import App, Process, Service, event, idempotency_key, step
from onstage.testing import Sim


@event("branch.asked", key="key")
@dataclass(frozen=True)
class Asked:
    key: str


@event("branch.yes", key="key")
@dataclass(frozen=True)
class Yes:
    key: str
    by: str = ""


@event("branch.no", key="key")
@dataclass(frozen=True)
class No:
    key: str
    by: str = ""


@event("branch.told", key="key")
@dataclass(frozen=True)
class Told:
    key: str
    text: str


Handler = Callable[[Asked], Awaitable[Told]]
effects: list[tuple[str, str]] = []


async def undo_act(result: str | None, name: str) -> None:
    effects.append((f"undo {name}", idempotency_key()))


@step(retries=3)
async def act(name: str) -> str:
    effects.append((name, idempotency_key()))
    return name


@step(retries=3, undo=undo_act)
async def book(name: str) -> str:
    effects.append((name, idempotency_key()))
    return name


@step(retries=3, undo=undo_act)
async def slow(name: str) -> str:
    await asyncio.sleep(10)
    effects.append((name, idempotency_key()))
    return name


@step
async def refuse(name: str) -> str:
    effects.append((name, idempotency_key()))
    raise ValueError(name)


def app_of(handler: Handler) -> App:
    house = Service("house")
    house.on(Asked, emits=[Told], waits=[Yes, No])(handler)  # type: ignore[arg-type]
    return App(house, Process("asked", starts=Asked, done=Told, external=[Yes, No], owner=house))


def count() -> Counter[str]:
    """How many effects there were with a key of their own, by name: an effect that is repeated has the same key."""
    return Counter(name for name, _ in set(effects))


def at_every_crash(handler: Handler, scenario: Callable[[Sim], Awaitable[None]]) -> int:
    async def fresh(sim: Sim) -> None:
        effects.clear()
        await scenario(sim)

    return asyncio.run(Sim(app_of(handler), seed=5).every_crash(fresh))


def told(sim: Sim) -> list[str]:
    return [each.text for each in sim.emitted(Told)]


async def opened(sim: Sim, *others: object) -> str:
    process = await sim.emit(Asked("a"))
    for other in others:
        await sim.emit(other)
    await sim.settle()
    return process


async def once(app: App, scenario: Callable[[Sim], Awaitable[None]]) -> None:
    async with Sim(app, seed=5) as sim:
        await scenario(sim)
