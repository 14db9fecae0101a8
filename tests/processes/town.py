"""An application whose events carry what is to be done about them: any random process, through the real engine."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from onstage import App, Reject, Request, Retry, Service, ask, emit, event, gather, race, sleep, start, step, wait
from onstage.events.answer import START_PREFIX

Plan = dict[str, Any]
MODES = (
    "plain", "plain", "plain", "step", "segment", "own", "ask", "race", "gather", "child", "reject", "wait",
)  # fmt: skip


@event("town.alpha", key="key")
@dataclass(frozen=True)
class Alpha:
    key: str
    plan: Plan = field(default_factory=dict)


@event("town.beta", key="key")
@dataclass(frozen=True)
class Beta:
    key: str
    plan: Plan = field(default_factory=dict)


@event("town.gamma", key="key")
@dataclass(frozen=True)
class Gamma:
    key: str
    plan: Plan = field(default_factory=dict)


@event("town.echo", key="key")
@dataclass(frozen=True)
class Echo:
    key: str


@event("town.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    key: str


CLASSES: dict[str, Any] = {"alpha": Alpha, "beta": Beta, "gamma": Gamma}
OPTIONS: dict[str, Any] = {
    "emits": [Alpha, Beta, Gamma, Echo], "waits": [Echo, Alpha, Gamma], "concurrency": 1000, "retry": Retry(4),
}  # fmt: skip

OWED: dict[int, dict[str, frozenset[str]]] = {}
"""Which gating handlers an event of which type has, under each version: written down here, not asked of the engine."""
OWED[1] = {
    "town.alpha": frozenset({"one.first", "two.second"}),
    "town.beta": frozenset({"one.third"}),
    "town.gamma": frozenset({"two.fourth", "three.leaver"}),
    "town.price": frozenset({"two.answer"}),
    f"{START_PREFIX}one.child": frozenset({"one.child"}),
}
OWED[2] = OWED[1] | {
    "town.beta": frozenset({"one.third", "late.joiner"}),
    "town.gamma": OWED[1]["town.gamma"] | {"late.early"},
}
OWED[3] = OWED[2] | {"town.gamma": frozenset({"two.fourth", "late.early"})}


@step(retries=4)
async def touch(key: str, place: int) -> str:
    """An effect; what is done when the node dies after it is in doubt."""
    await asyncio.sleep(0.01)
    return f"{key} {place}"


def made(plan: Plan, key: str) -> Any:
    """The event that a plan describes."""
    return CLASSES[plan["type"]](key, plan)


async def durably(mode: str, key: str, child: Any) -> None:
    """The durable calls of one mode."""
    if mode == "step":
        await touch(key, 0)
    elif mode == "ask":
        await ask(Price(key), timeout="60s")
    elif mode == "race":
        await race(touch(key, 2), sleep("5s"))
    elif mode == "gather":
        await gather(touch(key, 3), touch(key, 4), touch(key, 5))
    elif mode == "child":
        await start(child, key)
    elif mode == "reject":
        await touch(key, 6)
        raise Reject("as planned")


def town(version: int) -> App:
    """The application as it is in one version: two handlers join in the second, one has left in the third."""
    one, two, three, late = Service("one"), Service("two"), Service("three"), Service("late")

    @one.workflow
    async def child(name: str) -> str:
        await touch(name, 9)
        return name

    @two.answers(Price)
    async def answer(e: Price) -> int:
        await touch(e.key, 8)
        return len(e.key)

    async def act(e: Any, name: str) -> None:
        plan = e.plan.get(name)
        if plan is None:
            return
        children = [made(each, e.key) for each in plan["emits"]]
        mode = plan["mode"]
        if mode == "segment" and children:
            await emit(children.pop())
            await touch(e.key, 1)
        elif mode in ("own", "wait"):  # for what its own output leads to; or for what may never come
            if mode == "own":
                await emit(Echo(e.key))
            with suppress(TimeoutError):
                await wait(Echo, Gamma, timeout="20s")
        else:
            await durably(mode, e.key, child)
        for each in children:
            await emit(each)

    def handle(service: Service, cls: Any, name: str, **options: Any) -> None:
        async def handler(e: Any) -> None:
            await act(e, name)

        handler.__annotations__ = {"e": cls, "return": None}
        service.on(cls, name=name, asks=[Price, child], **(OPTIONS | options))(handler)

    handle(one, Alpha, "first")
    handle(two, Alpha, "second")
    handle(one, Beta, "third")
    handle(two, Gamma, "fourth")
    handle(one, Beta, "beside", gating=False, emits=[], waits=[])
    if version < 3:
        handle(three, Gamma, "leaver")
    if version > 1:
        handle(late, Beta, "joiner")
        handle(late, Gamma, "early", start="earliest")
    return App(one, two, late, *([three] if version < 3 else []))


HANDLERS = {"alpha": ("first", "second"), "beta": ("third", "joiner"), "gamma": ("fourth", "leaver", "early")}


def planned(random: Random, depth: int = 0) -> Plan:
    """A random process from one of its events on."""
    kind = random.choice(tuple(CLASSES))
    plan: Plan = {"type": kind}
    for name in HANDLERS[kind]:
        mode = random.choice(MODES)
        most = 0 if depth > 3 or mode == "reject" else random.choice((0, 1, 1, 2) if depth < 1 else (0, 0, 1))
        plan[name] = {"mode": mode, "emits": [planned(random, depth + 1) for _ in range(most)]}
    return plan
