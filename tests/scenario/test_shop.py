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
MODULES = ("app", "checks", "events", "feed", "world")


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


SHIPPED = frozenset({"charge", "wrap", "collect", "label", "mail"})
UNDONE_BY = {"charge": "refund", "wrap": "unwrap", "book tenor": "dismiss tenor", "book pianist": "dismiss pianist"}
OPEN = {"wrap", "unwrap", "book tenor", "book pianist", "dismiss tenor", "dismiss pianist"}
"""Whether these begin before the process is undone is open; that they are undone is not."""
CASES = {
    "paid": Case({}, "OrderShipped", SHIPPED),
    "declined": Case({"card": "declined-1"}, "PaymentDeclined", frozenset({"mail"})),
    "nobody goes there": Case({"city": "Athens"}, "Undeliverable", frozenset({"charge", "refund", "mail"})),
    "nobody goes there with a serenade": Case(
        {"city": "Athens", "serenade": True}, "Undeliverable", frozenset({"charge", "refund", "mail"})
    ),
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
        getattr(shop.events, name)
        for name in ("OrderShipped", "PaymentDeclined", "OutOfStock", "OrderCancelled", "Undeliverable")
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
        shipped = case.outcome == "OrderShipped"
        assert (did.keys() if shipped else did.keys() - OPEN) == case.effects
        assert {len(keys) for keys in did.values()} == {1}
        if not shipped:
            assert {each for each, undo in UNDONE_BY.items() if undo in did} == UNDONE_BY.keys() & did.keys()
        left = await stocked(sim)
        assert left["crown"] == (8_999 if case.outcome == "OrderShipped" else 9_000)
        check_settled(sim)

    assert asyncio.run(Sim(shop.app.app, seed=4).every_crash(scenario)) >= 6
    assert not repeated, f"steps ran again after their results were durable: {repeated}"


def test_the_demo_finds_a_verdict_that_is_wrong_early_or_missing(shop: Shop) -> None:
    import checks  # type: ignore[import-not-found,unused-ignore]

    @dataclass
    class Found:
        outcomes: dict[str, list[str]]

        def did(self, effect: str) -> dict[str, set[str]]:
            return {"o3": {"key"}} if effect == "refund" else {}

    found, shipped = (
        Found({"o1": ["shop.order-shipped"], "o2": ["shop.out-of-stock"], "o3": ["shop.undeliverable"]}),
        "completed (shop.order-shipped)",
    )
    true = {"o1": shipped, "o2": "completed (shop.out-of-stock)", "o3": "compensated: shop.undeliverable"}
    assert list(checks.wrong_verdicts(found, [{}, {"o1": shipped}, true])) == []
    assert list(checks.wrong_verdicts(found, [{"o1": "dead end"}, true])) == [f"o1 is dead end, not {shipped}"]
    missing = true | {"o2": shipped}
    del missing["o2"]
    assert list(checks.wrong_verdicts(found, [true, missing])) == [f"o2 is {true['o2']}, and nobody says so"]
    assert list(checks.wrong_verdicts(found, [true | {"o2": shipped}])) == [f"o2 is {shipped}, not {true['o2']}"]
