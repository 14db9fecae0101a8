"""Violations in production: on the command line, at a webhook, with an observer, and with keys of a store."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner
from tests.scenario.expecting_scenes import BEFORE, OrderPlaced, shop
from tests.scenario.played_scene import scene
from tests.unit.runtime.playhouse import PATIENCE_S, Paid, Placed, Refused
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import App, Process, Service, emit, event
from onstage.cli.main import cli
from onstage.expectations import every, expect
from onstage.observe.progress import Change
from onstage.observe.verdict import Violated
from onstage.ports.store import ProcessView
from onstage.runtime.process_teller import alerts_of
from onstage.runtime.watched_process import Told
from onstage.testing import Sim

NEVER_PAID = expect("order", every(Placed).forbids(Paid))


async def called(sim: Sim, *words: str) -> str:
    given = [*words, "--store", f"sqlite:///{sim.world.path}"]
    result = await asyncio.to_thread(CliRunner().invoke, cli, given)
    assert result.exit_code == 0, result.output
    return result.stdout


@scene
async def test_the_command_line_shows_what_a_process_violates() -> None:
    async with Sim(shop) as sim:
        await sim.emit(OrderPlaced("o1", "ships unpaid"))
        with pytest.raises(AssertionError, match="violates"):
            await sim.settle()
        assert f"violates {BEFORE.rule.text}: order-shipped came without" in await called(sim, "show", "o1")
        shown = json.loads(await called(sim, "show", "o1", "-o", "json"))
        assert shown["verdict"]["status"] == "completed"
        (violated,) = shown["verdict"]["violated"]
        assert violated["rule"] == BEFORE.rule.text
        assert violated["because"].startswith("order-shipped came without order-paid before it (order-shipped at ")
        (row,) = json.loads(await called(sim, "ps", "--type", "order", "-o", "json"))
        assert row["now"].startswith(f"order-shipped; violates {BEFORE.rule.text}")
        await sim.emit(OrderPlaced("o2"))
        await sim.settle()
        rows = json.loads(await called(sim, "ps", "--violated", "-o", "json"))
        assert [row["key"] for row in rows] == ["o1"]
        assert json.loads(await called(sim, "ps", "--overdue", "-o", "json")) == []


def test_a_webhook_is_told_which_rule_is_violated() -> None:
    view = ProcessView(1, "p-1", "order", "o1", 0, 0, "order-shipped", 0, 1)
    change = Change(kind="violated", number=2, at=1_000, reason="it came 2 times", rule="at_most_once(A)")
    (alert,) = alerts_of([Told(view, change)], shop.manifest)
    body: Any = json.loads(alert.body)
    assert (body["type"], body["id"]) == ("onstage.process.violated", "p-1/2")
    assert (body["data"]["rule"], body["data"]["reason"]) == ("at_most_once(A)", "it came 2 times")


async def violated_of(troupe: Troupe, process: str) -> tuple[Violated, ...]:
    """What the observer says that it violates, as soon as it does."""
    while True:
        verdict = None if troupe.observatory is None else await troupe.observatory.verdict(process, 0)
        if verdict is not None and verdict.violated:
            return verdict.violated
        await asyncio.sleep(0.01)


def test_an_observer_judges_services_that_run_apart() -> None:
    play = Play()
    order = Process("order", starts=Placed, done=Paid, failed=Refused, owner=play.shop)
    play.order = order.with_rules(NEVER_PAID.rules)

    async def story() -> None:
        async with touring(play=play) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            assert (await troupe.verdict(process)).outcome == "shop.paid"
            async with asyncio.timeout(PATIENCE_S):
                violated = await violated_of(troupe, process)
            assert [each.rule for each in violated] == ["every(Placed).forbids(Paid)"]
            assert all(node.monitor is None for node in troupe.nodes.values())

    asyncio.run(story())


@event("item-picked", key="item")
@dataclass(frozen=True)
class Picked:
    item: str


@event("item-packed", key="item")
@dataclass(frozen=True)
class Packed:
    item: str


@event("parcel-begun", key="id")
@dataclass(frozen=True)
class Begun:
    id: str
    packed: str


@event("parcel-done", key="id")
@dataclass(frozen=True)
class Done:
    id: str


packing = Service("packing")


@packing.on(Begun, emits=[Picked, Packed])
async def pack(e: Begun) -> Done:
    """Picks two, and packs what it is told to."""
    for item in ("a", "b"):
        await emit(Picked(item))
    for item in e.packed:
        await emit(Packed(item))
    return Done(e.id)


parcels = App(
    packing,
    Process("parcel", starts=Begun, done=Done),
    expect("parcel", every(Picked).leads_to(Packed, same_key=True)),
)


@scene
async def test_keys_are_told_apart_by_what_the_store_has() -> None:
    async with Sim(parcels) as sim:
        await sim.emit(Begun("p1", "ba"))
        await sim.settle()
        await sim.emit(Begun("p2", "aa"))
        with pytest.raises(AssertionError) as raised:
            await sim.settle()
        assert "parcel p2 violates every(Picked).leads_to(Packed, same_key=True)" in str(raised.value)
