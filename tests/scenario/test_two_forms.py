"""One business in two forms: through four services, and as one workflow. Both keep the same promises in few lines."""

import ast
import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks import two_forms

from onstage.errors import AskFailed
from onstage.testing.sim import Sim

FOLDER = Path(__file__).parents[2] / "examples" / "shop_orchestrated"
MODULES = ("business", "events", "services", "workflow")
WORKFLOW_LINES_MAX = 18
SERVICES_LINES_MAX = 51
CARDS = {"approved": "fine", "forgotten": "fine", "declined": "stolen"}
DONE = {
    "approved": ["reserved", "charged", "sent"],
    "forgotten": ["reserved", "charged", "refunded", "released"],
    "declined": ["reserved", "released"],
}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    monkeypatch.syspath_prepend(str(FOLDER))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(hidden)


def done(shop: dict[str, Any]) -> dict[str, list[str]]:
    """What was done for each order, in its order; a repetition that a lost result led to counts once."""
    found: dict[str, list[str]] = {order_id: [] for order_id in CARDS}
    for what, order_id in shop["business"].DONE:
        if what not in found[order_id]:
            found[order_id].append(what)
    return found


async def through_services(shop: dict[str, Any], sim: Sim) -> None:
    events, order = shop["events"], shop["business"].Order
    for order_id, card in CARDS.items():
        await sim.emit(events.OrderPlaced(order_id, order(order_id, "crown", 990, card)))
    await sim.settle()
    await sim.emit(events.Approved("approved"))
    await sim.settle()
    await sim.advance("25h")
    outcomes = {order_id: sim.outcome(order_id) for order_id in CARDS}
    assert outcomes == {"approved": "OrderShipped", "forgotten": "OrderCancelled", "declined": "PaymentDeclined"}
    assert done(shop) == DONE


async def as_a_workflow(shop: dict[str, Any], sim: Sim) -> None:
    order, fulfil = shop["business"].Order, shop["workflow"].fulfil
    started = {
        order_id: await sim.start(fulfil, order(order_id, "crown", 990, card), id=order_id)
        for order_id, card in CARDS.items()
    }
    await sim.settle()
    await sim.emit(shop["events"].Approved("approved"), process=started["approved"])
    await sim.settle()
    await sim.advance("25h")
    assert sim.result(started["approved"]).startswith("parcel-")
    for order_id in ("forgotten", "declined"):
        with pytest.raises(AskFailed):
            sim.result(started[order_id])
    assert done(shop) == DONE


FORMS = {"services": through_services, "workflow": as_a_workflow}


@pytest.mark.parametrize("form", FORMS)
def test_every_order_comes_to_its_end_though_the_bank_fails_once(shop: dict[str, Any], form: str) -> None:
    async def story() -> None:
        async with Sim(shop[form].app, seed=1) as sim:
            sim.fail(shop[form].charge, ConnectionError())
            await FORMS[form](shop, sim)

    asyncio.run(story())


@pytest.mark.parametrize("form", FORMS)
def test_every_order_comes_to_its_end_though_a_node_dies_after_a_charge(shop: dict[str, Any], form: str) -> None:
    async def story() -> None:
        payment = next(service for service in shop[form].app.services if service.name in ("payment", "orders"))
        async with Sim(shop[form].app, seed=2) as sim:
            sim.crash(payment, after=shop[form].charge)
            await FORMS[form](shop, sim)

    asyncio.run(story())


async def begin(shop: dict[str, Any], sim: Sim, form: str, order_id: str) -> str:
    """Begin an order that is approved at once, in either form."""
    order = shop["business"].Order(order_id, "crown", 990, "fine")
    if form == "workflow":
        return await sim.start(shop["workflow"].fulfil, order, id=order_id)
    return await sim.emit(shop["events"].OrderPlaced(order_id, order))


@pytest.mark.parametrize(
    ("form", "away", "meanwhile"),
    [
        ("services", "shipping", ["reserved", "charged"]),
        ("services", "stock", []),
        ("workflow", "orders", []),
    ],
)
def test_while_a_service_is_away_the_others_do_what_they_can(
    shop: dict[str, Any], form: str, away: str, meanwhile: list[str]
) -> None:
    async def story() -> None:
        async with Sim(shop[form].app, seed=3) as sim:
            await sim.pause(away)
            process = await begin(shop, sim, form, "approved")
            await sim.settle()
            if form == "services" and meanwhile:
                await sim.emit(shop["events"].Approved("approved"))
            await sim.advance("1h")
            assert done(shop)["approved"] == meanwhile
            await sim.resume(away)
            await sim.settle()
            if not meanwhile:
                await sim.emit(shop["events"].Approved("approved"), process=process)
            await sim.settle()
            assert done(shop)["approved"] == DONE["approved"]

    asyncio.run(story())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("condition", ["all well", "service away"])
def test_what_is_measured_is_that_every_order_is_shipped(
    form: str, condition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("DOWN_S", 0.02), ("LOOK_S", 0.01)):
        monkeypatch.setattr(two_forms, name, seconds)
    run = asyncio.run(two_forms.play(form, condition, 5))
    assert len(run.ended_s) == 5
    assert len(run.row.split()) == 4
    for name in MODULES:
        sys.modules.pop(name, None)


def code_lines(path: Path) -> int:
    """Lines that hold code: no imports, docstrings, comments and blank lines."""
    tree = ast.parse(path.read_text())
    passed_over = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str))
    ]
    skipped = {line for node in passed_over for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    lines = enumerate(path.read_text().splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in skipped for n, line in lines)


def test_both_forms_are_short() -> None:
    assert code_lines(FOLDER / "workflow.py") <= WORKFLOW_LINES_MAX
    assert code_lines(FOLDER / "services.py") <= SERVICES_LINES_MAX
