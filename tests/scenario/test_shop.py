"""The shop example in the simulated world: every way an order can end, with a crash at every commit on the way."""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.sim_checks import check_accounts, check_settled, watch_steps

from onstage.testing import Sim

SHOP = Path(__file__).resolve().parents[2] / "examples/shop"
MODULES = ("app", "events", "world")


@dataclass(frozen=True)
class Shop:
    """The example's modules, and where its world takes its notes."""

    app: Any
    events: Any
    notes: Path

    def order(self, **changes: Any) -> Any:
        usual = {"customer": "Ann", "city": "Graz", "sku": "crown", "quantity": 1, "cents": 4_200, "card": "card-1"}
        return self.events.OrderPlaced("o1", self.events.Order(**(usual | changes)))

    def effects(self) -> dict[str, set[str]]:
        """The idempotency keys under which each effect happened."""
        found = defaultdict[str, set[str]](set)
        for line in self.notes.read_text().splitlines() if self.notes.exists() else ():
            noted = json.loads(line)
            found[noted["effect"]].add(noted["key"])
        return dict(found)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The modules have everyday names, so they are taken out again afterwards."""
    notes = tmp_path / "world.jsonl"
    monkeypatch.setenv("SHOP_WORLD", str(notes))
    monkeypatch.setenv("SHOP_APPROVAL_WITHIN", "24h")
    monkeypatch.syspath_prepend(str(SHOP))
    earlier = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    try:
        import app  # type: ignore[import-not-found,unused-ignore]
        import events  # type: ignore[import-not-found,unused-ignore]

        yield Shop(app, events, notes)
    finally:
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(earlier)


@dataclass(frozen=True)
class Case:
    """An order, what somebody says to it and when, and how it has to end."""

    changes: dict[str, Any]
    outcome: str
    effects: frozenset[str]
    says: str | None = None
    after: str = "1h"


SHIPPED = frozenset({"charge", "collect", "label", "mail"})
CASES = {
    "paid": Case({}, "OrderShipped", SHIPPED),
    "declined": Case({"card": "declined-1"}, "PaymentDeclined", frozenset({"mail"})),
    "out of stock": Case({"sku": "trapdoor"}, "OutOfStock", frozenset({"mail"})),
    "approved in time": Case({"cents": 150_000}, "OrderShipped", SHIPPED, "OrderApproved"),
    "rejected in time": Case({"cents": 150_000}, "OrderCancelled", frozenset({"mail"}), "OrderRejected"),
    "approved too late": Case({"cents": 150_000}, "OrderCancelled", frozenset({"mail"}), "OrderApproved", "25h"),
    "never approved": Case({"cents": 150_000}, "OrderCancelled", frozenset({"mail"})),
    "a serenade": Case({"serenade": True}, "OrderShipped", SHIPPED | {"book tenor", "book pianist"}),
    "a serenade that is not allowed": Case(
        {"serenade": True, "city": "Salzburg"},
        "OrderShipped",
        SHIPPED | {"book tenor", "book pianist", "dismiss tenor", "dismiss pianist"},
    ),
}


async def stocked(sim: Sim) -> dict[Any, Any]:
    """What is left on the shelves."""
    import apsw

    connection = apsw.Connection(str(sim.world.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {sku: pieces for sku, pieces in connection.execute("select sku, pieces from stock_level")}  # noqa: C416
    finally:
        connection.close()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_order_ends_in_one_way_wherever_the_node_dies(
    case: Case, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = watch_steps(monkeypatch)
    outcomes = [
        getattr(shop.events, name) for name in ("OrderShipped", "PaymentDeclined", "OutOfStock", "OrderCancelled")
    ]

    async def scenario(sim: Sim) -> None:
        shop.notes.unlink(missing_ok=True)
        wire = await sim.emit(shop.order(**case.changes), id="web-1")
        await sim.settle()
        check_accounts(sim)
        if case.says is not None:
            await sim.advance(case.after)
            said = [] if case.says == "OrderApproved" else ["too dear"]
            await sim.emit(getattr(shop.events, case.says)("o1", "Bea", *said))
        await sim.advance("25h")
        assert sim.outcome(wire) == case.outcome, sim.history(wire)
        assert sum(len(sim.emitted(cls)) for cls in outcomes) == 1
        did = shop.effects()
        assert did.keys() == case.effects
        assert {what: len(keys) for what, keys in did.items()} == dict.fromkeys(case.effects, 1)
        left = await stocked(sim)
        assert left["crown"] == (8_999 if case.outcome == "OrderShipped" else 9_000)
        check_settled(sim)

    assert asyncio.run(Sim(shop.app.app, seed=4).every_crash(scenario)) >= 6
    assert not repeated, f"steps ran again after their results were durable: {repeated}"
