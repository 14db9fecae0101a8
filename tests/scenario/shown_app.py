"""One application in which each feature has something open, or ended in its way: for what `ps` and `show` say of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from onstage import (
    App,
    Request,
    Retry,
    Service,
    ask,
    emit,
    event,
    gather,
    patched,
    race,
    sleep,
    spawn,
    start,
    step,
    wait,
)
from onstage.durable import CompletedElsewhere, continue_as_new, heartbeat, scope
from onstage.state import state


@event("shown.begun", key="id")
@dataclass(frozen=True)
class Begun:
    id: str


@event("shown.late", key="id")
@dataclass(frozen=True)
class Late:
    id: str


@event("shown.yes", key="id")
@dataclass(frozen=True)
class Yes:
    id: str


@event("shown.limited", key="id")
@dataclass(frozen=True)
class Limited:
    id: str


@event("shown.item", key="id")
@dataclass(frozen=True)
class Item:
    id: str


@event("shown.edited", key="id")
@dataclass(frozen=True)
class Edited:
    id: str


@event("shown.large", key="id")
@dataclass(frozen=True)
class Large:
    id: str
    text: str


@event("shown.price", key="id")
@dataclass(frozen=True)
class Price(Request[int]):
    id: str


service = Service("svc")


@step
async def note(what: str) -> str:
    return what


@step(heartbeat_timeout="30s")
async def crawl() -> None:
    heartbeat({"page": 3})
    await asyncio.sleep(3600)


@step(retries=3, heartbeat_timeout="2h")
async def dig() -> None:
    heartbeat({"layer": 7, "password": "p"})
    await asyncio.sleep(3600)


@step(completion_timeout="1d")
async def sign() -> str:
    raise CompletedElsewhere


async def _delayed(e: Begun) -> None:
    await emit(Late(e.id), after="1h")


async def _branches(e: Begun) -> None:
    await gather(note("a"), note("b"))
    await race(wait(Yes), sleep("1h"))


async def _spawned(e: Begun) -> None:
    async def beside() -> None:
        await note("beside")
        await sleep("1h")

    spawn(beside())


async def _scope(e: Begun) -> None:
    async with scope("part"):
        await note("inside")
        await wait(Yes)


async def _token(e: Begun) -> None:
    await sign()


async def _asking(e: Begun) -> None:
    await ask(Price(e.id))


async def _heartbeat(e: Begun) -> None:
    await crawl()


async def _digging(e: Begun) -> None:
    await dig()


async def _patched(e: Begun) -> None:
    if patched("new-way"):
        await wait(Yes)


async def _keyed(e: Begun) -> None:
    items = await state(int, key=e.id, name="items")
    items.set(3)


WAYS: dict[str, Callable[[Begun], Awaitable[None]]] = {
    "delayed": _delayed,
    "branches": _branches,
    "spawned": _spawned,
    "scope": _scope,
    "token": _token,
    "asking": _asking,
    "heartbeat": _heartbeat,
    "digging": _digging,
    "patched": _patched,
    "keyed": _keyed,
}


@service.on(Begun, emits=[Late], waits=[Yes], asks=[Price], retry=Retry(attempts=1))
async def begin(e: Begun) -> None:
    await WAYS[e.id](e)


@service.on(Late)
async def late(e: Late) -> None:
    return


@service.answers
async def price(q: Price) -> int:
    await wait(Yes)
    return 3


@service.on(Limited, rate="1/h", fair_by="id")
async def limited(e: Limited) -> None:
    return


@service.on(Item, batch=10, batch_wait="1h")
async def batch(events: list[Item]) -> None:
    return


@service.on(Edited, debounce="1h", max_wait="2h")
async def render(e: Edited) -> None:
    return


@service.on(Large)
async def store(e: Large) -> None:
    return


@service.workflow
async def child(name: str) -> str:
    await wait(Yes)
    return name


@service.workflow
async def parent(name: str) -> str:
    state["stage"] = "packed"
    return await start(child, f"{name}-child")


@service.workflow
async def endless(round: int) -> str:
    if round < 2:
        continue_as_new(round + 1)
    await wait(Yes)
    return "done"


@service.every("2h", name="tick")
async def tick() -> None:
    await wait(Yes, timeout="30m")


app = App(service, offload_above=1024)
