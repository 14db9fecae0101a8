"""Who asked a handler that is gone and was retired gets a failure, with a crash at every commit."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.sim_checks import check_accounts, everything

from onstage import App, Request, Service, ask, event, start, wait
from onstage.errors import AskFailed, UsageError
from onstage.testing import Sim


@event("retired.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    key: str


@event("retired.go", key="key")
@dataclass(frozen=True)
class Go:
    key: str


def version(*, answers: bool) -> App:
    """A shop that asks for prices and starts a child, with and without the service that deals with both."""
    shop, old = Service("shop"), Service("old")

    @old.workflow
    async def child(name: str) -> str:
        await wait(Go)
        return name

    @shop.workflow(asks=[Price, child])
    async def look(key: str) -> str:
        try:
            return str(await (start(child, key) if key.startswith("child") else ask(Price(key), timeout="30d")))
        except AskFailed as error:
            return f"{error.kind}: {error}"

    if answers:

        @old.answers
        async def price(q: Price) -> int:
            await wait(Go)
            return 1

    return App(shop, old) if answers else App(shop)


def look(app: App) -> Any:
    return next(each for each in app.services[0].handlers if each.full_name == "shop.look")


async def retired(sim: Sim) -> None:
    app = version(answers=True)
    asker = await sim.start(look(app), "a", id="a")
    parent = await sim.start(look(app), "child b", id="b")
    outside = await sim.ask(Price("outside"), id="c")
    await sim.settle()
    await sim.deploy(version(answers=False))
    await sim.settle()
    assert sim.result(asker) is sim.result(parent) is None
    with pytest.raises(UsageError, match=r"service shop cannot be retired[\s\S]*SERVICE.HANDLER"):
        await sim.manage("retire", "shop")
    with pytest.raises(UsageError, match="no service nothing to retire"):
        await sim.manage("retire", "nothing")
    assert (await sim.manage("retire", "old", dry_run=1))["obligations"] == 3
    await sim.manage("retire", "old")
    await sim.settle()
    why = "which answered it, was retired"
    assert sim.result(asker) == f"written off: retired.price was written off: old.price, {why}"
    assert sim.result(parent) == f"written off: old.child was written off: old.child, {why}"
    with pytest.raises(AskFailed, match=r"retired.price was written off: old.price"):
        sim.result(outside)
    check_accounts(sim)
    _, executions, _ = sim.read(everything)
    assert sim.read(lambda reader: reader.executions()) == []
    assert len(executions) == 5


def test_who_asked_a_retired_handler_is_told_wherever_the_node_dies() -> None:
    assert asyncio.run(Sim(version(answers=True), seed=1).every_crash(retired)) >= 8
