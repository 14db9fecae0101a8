"""A small choreography with everything on it, for the tests of the simulated world and of the promises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from onstage import (
    App,
    Process,
    Reject,
    Service,
    event,
    idempotency_key,
    resource,
    step,
    transaction,
    wait,
)
from onstage.ports.store import Connection
from onstage.testing import Sim

T = TypeVar("T")


@event("scene.opened", key="key")
@dataclass(frozen=True)
class Opened:
    key: str
    n: int = 0


@event("scene.approved", key="key")
@dataclass(frozen=True)
class Approved:
    key: str


@event("scene.midway", key="key")
@dataclass(frozen=True)
class Midway:
    key: str


@event("scene.closed", key="key")
@dataclass(frozen=True)
class Closed:
    key: str


@event("scene.cancelled", key="key")
@dataclass(frozen=True)
class Cancelled:
    key: str


effects: list[tuple[str, str]] = []
order: list[tuple[str, int]] = []


@step(retries=3)
async def turn(key: str, n: int) -> None:
    order.append((key, n))


class Prop:
    """A resource: what the lifespan yields."""


@asynccontextmanager
async def props() -> AsyncIterator[Prop]:
    yield Prop()


@step(retries=3)
async def act(key: str) -> str:
    assert isinstance(resource(Prop), Prop)
    effects.append(("act", idempotency_key()))
    return f"acted {key}"


async def unbow(result: str, key: str, n: int) -> None:
    effects.append((f"unbow {n} {result}", idempotency_key()))


@step(undo=unbow)
async def bow(key: str, n: int) -> str:
    effects.append((f"bow {n}", idempotency_key()))
    return f"bowed {n}"


@step
def speak(key: str) -> None:
    effects.append(("speak", idempotency_key()))


@transaction
def note(db: Connection, key: str) -> int:
    db.execute("insert into scene (key) values (?)", (key,))
    return len(list(db.execute("select 1 from scene")))


def one(*handlers: Callable[[Service], None], process: bool = True) -> App:
    """An app of one service with these handlers, and a process around it."""
    stage = Service("stage", lifespan=props, tables="create table if not exists scene (key text)")
    for declare in handlers:
        declare(stage)
    scene = Process("scene", starts=Opened, done=Closed, failed=[Cancelled], external=[Approved], owner=stage)
    return App(stage, scene) if process else App(stage)


def acting(stage: Service) -> None:
    @stage.on(Opened)
    async def play(e: Opened) -> Closed:
        await act(e.key)
        return Closed(e.key)


def approving(stage: Service) -> None:
    @stage.on(Opened)
    async def review(e: Opened) -> Closed | Cancelled:
        await act(e.key)
        try:
            await wait(Approved, timeout="24h")
        except TimeoutError:
            return Cancelled(e.key)
        return Closed(e.key)


def played(scene: Callable[[Sim], Awaitable[T]], app: App, seed: int = 7) -> T:
    async def main() -> T:
        async with Sim(app, seed=seed) as sim:
            return await scene(sim)

    return asyncio.run(main())


def rejecting(stage: Service) -> None:
    @stage.on(Opened)
    async def play(e: Opened) -> Closed:
        for n in range(3):
            await bow(e.key, n)
        raise Reject("the audience left")
