"""An application whose processes are drawn at random and undone: what each step was caused by travels with the events.

Every event carries the labels of all steps that led to it, so each step knows its ancestors without asking the engine.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from onstage import App, Process, Reject, Request, Retry, Service, ask, emit, event, gather, idempotency_key, step, wait
from onstage.durable import scope

Plan = dict[str, Any]
Trail = list[str]


@event("ruin.alpha", key="key")
@dataclass(frozen=True)
class Alpha:
    key: str
    plan: Plan = field(default_factory=dict)
    trail: Trail = field(default_factory=list)
    exempt: bool = False


@event("ruin.beta", key="key")
@dataclass(frozen=True)
class Beta:
    key: str
    plan: Plan = field(default_factory=dict)
    trail: Trail = field(default_factory=list)
    exempt: bool = False


@event("ruin.lost", key="key")
@dataclass(frozen=True)
class Lost:
    """The outcome that has its process undone; what follows from it stays."""

    key: str
    plan: Plan = field(default_factory=dict)
    trail: Trail = field(default_factory=list)
    exempt: bool = True


@event("ruin.won", key="key")
@dataclass(frozen=True)
class Won:
    key: str


@event("ruin.news", key="key")
@dataclass(frozen=True)
class News:
    key: str
    trail: Trail = field(default_factory=list)


@event("ruin.price", key="key")
@dataclass(frozen=True)
class Price(Request[list[str]]):
    key: str
    label: str
    trail: Trail = field(default_factory=list)
    exempt: bool = False


DID: list[tuple[str, str]] = []
"""What was done ("+") and undone ("-"), by label, in its order."""
ANCESTORS: dict[str, set[str]] = {}
EXEMPT: set[str] = set()
KEYS: dict[str, set[str]] = {}
TORN: set[str] = set()
"""Steps of scopes that rejected, whatever becomes of their process."""
LEFT: set[str] = set()
"""The keys of processes that have passed their point of no return."""


async def back(result: str | None, label: str, trail: Trail, exempt: bool) -> None:
    """The undo of `do`."""
    await asyncio.sleep(0.005)
    KEYS.setdefault(label, set()).add(idempotency_key())
    DID.append(("-", label))


@step(undo=back, retries=4)
async def do(label: str, trail: Trail, exempt: bool) -> str:
    """Something outside, known by its label."""
    await asyncio.sleep(0.005)
    ANCESTORS[label] = set(trail)
    EXEMPT.update([label] if exempt else [])
    DID.append(("+", label))
    return label


CLASSES: dict[str, Any] = {"alpha": Alpha, "beta": Beta, "lost": Lost}
ACTS = (*("do",) * 3, "both", "ask", "news", "wait", "scope", "torn", "emit", "emit")
HANDLERS = {"alpha": ("first", "second"), "beta": ("third", "fourth"), "lost": ("mourn",)}
EMITS: list[Any] = [Alpha, Beta, Lost, Won, News]


def made(plan: Plan, key: str, trail: Trail, *, exempt: bool) -> Any:
    """The event that a plan describes."""
    return CLASSES[plan["type"]](key, plan, trail, exempt or plan["type"] == "lost")


@step(pivot=True, retries=4)
async def leave(key: str) -> None:
    """The point of no return of a process."""
    await asyncio.sleep(0.005)
    LEFT.add(key)


async def _in_scope(label: str, trail: Trail, *, is_torn: bool, exempt: bool) -> Trail:
    """Two steps in a scope; if it is torn, they are undone at once, and nothing follows from them."""
    done: Trail = []
    if is_torn:
        TORN.update((f"{label}a", f"{label}b"))
    async with scope("part"):
        done = [await do(f"{label}a", trail, exempt)]
        done.append(await do(f"{label}b", [*trail, *done], exempt))
        if is_torn:
            raise Reject("as planned")
    return [] if is_torn else done


async def play(e: Any, name: str) -> None:
    """Do what the plan of this event has for this handler."""
    plan, trail = e.plan.get(name, {"acts": []}), list(e.trail)
    for at, act in enumerate(plan["acts"]):
        label = f"{e.key}:{e.plan['id']}:{name}:{at}"
        if act == "do":
            trail.append(await do(label, trail, e.exempt))
        elif act == "both":
            trail += await gather(do(f"{label}a", trail, e.exempt), do(f"{label}b", trail, e.exempt))
        elif act in ("scope", "torn"):
            trail += await _in_scope(label, trail, is_torn=act == "torn", exempt=e.exempt)
        elif act == "leave":
            await leave(e.key)
        elif act == "ask":
            trail = sorted({*trail, *await ask(Price(e.key, f"{label}price", trail, e.exempt))})
        elif act == "news":
            await emit(News(e.key, trail))
        elif act == "wait":
            with suppress(TimeoutError):
                trail = sorted({*trail, *(await wait(News, timeout="20s")).trail})
        elif act == "reject":
            raise Reject("as planned")
        elif act == "won":
            await emit(Won(e.key))
        else:
            await emit(made(act, e.key, trail, exempt=e.exempt))


def town() -> App:
    """Three services; whatever rejects or is lost has its process undone."""
    one, two, three = Service("one"), Service("two"), Service("three")

    @three.answers(Price)
    async def answer(e: Price) -> list[str]:
        return [*e.trail, await do(e.label, e.trail, e.exempt)]

    def handle(service: Service, cls: Any, name: str) -> None:
        async def handler(e: Any) -> None:
            await play(e, name)

        handler.__annotations__ = {"e": cls, "return": None}
        options: Any = {"emits": EMITS, "waits": [News], "asks": [Price], "concurrency": 1000, "retry": Retry(4)}
        service.on(cls, name=name, **options)(handler)

    handle(one, Alpha, "first")
    handle(two, Alpha, "second")
    handle(two, Beta, "third")
    handle(three, Beta, "fourth")
    handle(one, Lost, "mourn")
    ruin = Process("ruin", starts=[Alpha, Beta], done=Won, failed=Lost, undo=True)
    return App(one, two, three, ruin)


def planned(random: Random, counter: list[int], depth: int = 0, *, leaves: bool = False) -> Plan:
    """A random process from one of its events on. If it `leaves`, it has a point of no return, and rejects nothing."""
    kind = random.choice(("alpha", "beta"))
    counter[0] += 1
    plan: Plan = {"type": kind, "id": counter[0]}
    for name in HANDLERS[kind]:
        acts: list[Any] = []
        for _ in range(random.randint(1, 4)):
            act: Any = random.choice(ACTS)
            if act == "emit":
                act = planned(random, counter, depth + 1, leaves=leaves) if depth < 3 else "do"
            acts.append(act)
        plan[name] = {"acts": acts}
    if random.random() < (0.6 if depth == 0 else 0.1):
        acts = plan[random.choice(HANDLERS[kind])]["acts"]
        acts.insert(random.randint(0, len(acts)), _ending(random, counter, leaves=leaves))
    if leaves and random.random() < (1 if depth == 0 else 0.2):
        acts = plan[random.choice(HANDLERS[kind])]["acts"]
        acts.insert(random.randint(0, len(acts)), "leave")
    return plan


def _ending(random: Random, counter: list[int], *, leaves: bool) -> Any:
    ending = random.choice(("won" if leaves else "reject", "won", "lost", "lost"))
    if ending != "lost":
        return ending
    counter[0] += 1
    return {"type": "lost", "id": counter[0], "mourn": {"acts": random.choice((["do"], ["do", "news"], []))}}
