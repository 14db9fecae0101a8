"""One business as a choreography and as a workflow, while one part is slow or down: `python -m benchmarks.two_forms`.

The functions of `examples/shop_orchestrated` are made slow or fail; nothing else of the example is changed. All orders
are placed at once, on one node with a file of its own. "Away" is a service that is paused: in the one form the one that
charges cards, in the other the one that has the workflow, because that is where charging is done.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "shop_orchestrated"
MODULES = ("business", "events", "services", "workflow")
FORMS = ("services", "workflow")
CONDITIONS = ("all well", "bank slow", "bank down", "service away")
SLOW_S = 0.2
DOWN_S = 3.0
LOOK_S = 1.0
ORDERS = 400


@dataclass
class Run:
    """What one run came to. Times are seconds since the first order was placed."""

    ended_s: list[float] = field(default_factory=list)
    reserved_early: int = 0

    @property
    def row(self) -> str:
        """Median and 95th percentile of the time to the outcome, orders per second, how many were reserved early."""
        centiles = statistics.quantiles(self.ended_s, n=100)
        rate = len(self.ended_s) / max(self.ended_s)
        return f"{centiles[49]:6.2f} {centiles[94]:6.2f} {rate:8.0f} {self.reserved_early:10}"


def make_slow(business: Any) -> None:
    """Let each charge take its time."""
    plain = business.charge_card

    async def charge_card(order: Any) -> str:
        await asyncio.sleep(SLOW_S)
        return str(await plain(order))

    business.charge_card = charge_card


def make_fail(business: Any) -> None:
    """Let each charge fail for some seconds from now on."""
    plain, until = business.charge_card, time.perf_counter() + DOWN_S

    async def charge_card(order: Any) -> str:
        if time.perf_counter() < until:
            raise ConnectionError("the bank does not answer")
        return str(await plain(order))

    business.charge_card = charge_card


def in_the_world(condition: str) -> dict[str, Any]:
    """The example, with a bank like that: its steps take the function that stands there when they are defined."""
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.path.insert(0, str(EXAMPLE))
    try:
        business = importlib.import_module("business")
        if condition == "bank slow":
            make_slow(business)
        if condition == "bank down":
            make_fail(business)
        return {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(EXAMPLE))


async def through_services(stage: Any, shop: dict[str, Any], number: int) -> Any:
    """Place an order, approve it, and wait for its outcome."""
    events, order = shop["events"], shop["business"].Order(f"o{number}", "crown", 990, "fine")
    process = await stage.emit(events.OrderPlaced(order.order_id, order))
    await stage.emit(events.Approved(order.order_id), process=process)
    verdict = await process.verdict(timeout="2m")
    assert verdict.outcome == "order-shipped", verdict


async def as_a_workflow(stage: Any, shop: dict[str, Any], number: int) -> Any:
    """The same, as a workflow with a result."""
    order = shop["business"].Order(f"o{number}", "crown", 990, "fine")
    started = await stage.start(shop["workflow"].fulfil, order, id=order.order_id)
    await stage.emit(shop["events"].Approved(order.order_id), process=started.id)
    assert (await started.result(timeout="2m")).startswith("parcel-")


async def play(form: str, condition: str, orders: int) -> Run:
    """All orders at once, in this form and under this condition."""
    shop = in_the_world(condition)
    place: Callable[[Any, dict[str, Any], int], Awaitable[Any]]
    place = through_services if form == "services" else as_a_workflow
    away = "payment" if form == "services" else "orders"
    run = Run()
    with tempfile.TemporaryDirectory() as folder:
        async with shop[form].app.run(f"sqlite:///{folder}/shop.db") as stage:
            if condition == "service away":
                await stage.pause(away)
            begun = time.perf_counter()

            async def one(number: int) -> None:
                await place(stage, shop, number)
                run.ended_s.append(time.perf_counter() - begun)

            async def meanwhile() -> None:
                await asyncio.sleep(LOOK_S)
                run.reserved_early = len({order for what, order in shop["business"].DONE if what == "reserved"})
                if condition == "service away":
                    await asyncio.sleep(DOWN_S - LOOK_S)
                    await stage.resume(away)

            await asyncio.gather(meanwhile(), *map(one, range(orders)))
    return run


def main() -> None:
    """Print a table of both forms under each condition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=ORDERS)
    orders = parser.parse_args().orders
    print(f"{orders} orders at once; {SLOW_S:g} s for each charge, or {DOWN_S:g} s down; seconds to the outcome")
    print(f"{'condition':<14}{'form':<10}{'p50':>6} {'p95':>6} {'orders/s':>8} {'reserved after 1 s':>10}")
    for condition in CONDITIONS:
        for form in FORMS:
            print(f"{condition:<14}{form:<10}{asyncio.run(play(form, condition, orders)).row}", flush=True)


if __name__ == "__main__":
    main()
