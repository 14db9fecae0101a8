import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.scenario.played_scene import scene
from tests.scenario.watched_scenes import OrderPlaced, order, payment, shipping, shop

from onstage.contracts.validation import validate
from onstage.observe.progress import Change
from onstage.ports.clock import SystemClock
from onstage.ports.store import ProcessView
from onstage.runtime.alerts import Alerts
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.runtime.process_teller import alerts_of, as_event
from onstage.runtime.watched_process import Told
from onstage.stores.memory import MemoryStore
from onstage.testing import Sim
from onstage.testing.inline_workers import InlineWorkers
from onstage.verdicts import ProcessCompleted, ProcessDeadEnd, ProcessOverdue

VIEW = ProcessView(1, "store-life-1", "order", "o1", 0, 1, None, 0, None)
MANIFEST = validate([payment], [order])
AT = datetime.fromtimestamp(5, UTC)


def test_what_is_overdue_says_whose_it_is_and_since_when() -> None:
    change = Change(kind="overdue", number=1, at=5_000, milestone="order-paid", due=5_000)
    told = as_event(VIEW, change, MANIFEST)
    reason = "order-paid was due at 1970-01-01 00:00:05 UTC, owed by payment"
    said = {"process": "store-life-1", "declared": "order", "key": "o1", "number": 1, "at": AT, "reason": reason}
    assert told == ProcessOverdue(**said, milestone="order-paid", due=AT, owed_by=("payment",))


def test_a_deadline_is_overdue_without_a_milestone() -> None:
    told = as_event(VIEW, Change(kind="overdue", number=2, at=5_000, due=5_000), MANIFEST)
    assert isinstance(told, ProcessOverdue)
    assert (told.milestone, told.owed_by) == (None, ())
    assert told.reason == "order has no outcome, its deadline was 1970-01-01 00:00:05 UTC"


def test_two_observers_that_count_differently_send_the_same_id_for_the_same_change() -> None:
    late = {"kind": "overdue", "at": 5_000, "milestone": "order-paid", "due": 5_000, "mark": "order-paid"}
    first, second = (Told(VIEW, Change(number=number, **late)) for number in (1, 2))
    other = Told(VIEW, Change(kind="violated", number=1, at=5_000, rule="before(A, B)", mark="before(A, B)"))
    sent = alerts_of([first, second, other], MANIFEST, of_one_of_several=True)
    assert sent[0].id == sent[1].id != sent[2].id
    assert [alert.id for alert in alerts_of([first, second], MANIFEST)] == ["store-life-1/1", "store-life-1/2"]


def test_who_is_stuck_again_for_the_same_reason_is_told_again() -> None:
    stuck = {"kind": "stuck", "at": 5_000, "reason": "payment.take: no live node", "mark": "away payment.take"}
    twice = [Told(VIEW, Change(number=number, **stuck)) for number in (1, 3)]
    first, again = alerts_of(twice, MANIFEST, of_one_of_several=True)
    assert first.id != again.id


@pytest.mark.parametrize(("kind", "cls"), [("completed", ProcessCompleted), ("dead-end", ProcessDeadEnd)])
def test_an_end_is_told_with_its_outcome_if_it_has_one(kind: str, cls: type[object]) -> None:
    told = as_event(VIEW, Change(kind=kind, number=1, at=5_000, outcome="order-shipped"), MANIFEST)  # type: ignore[arg-type]
    assert type(told) is cls
    assert getattr(told, "outcome", "order-shipped") == "order-shipped"


@scene
async def test_a_function_of_a_deadline_that_fails_leaves_the_process_overdue_and_is_told_once() -> None:
    from tests.scenario.watched_scenes import AlertSent, OrderShipped, alerts, shipping

    from onstage import App, Process

    def raises(e: OrderPlaced) -> object:
        raise ValueError(e.order_id)

    broken = Process("order", starts=OrderPlaced, done=OrderShipped, deadline="2h", late=raises)
    async with Sim(App(payment, shipping, alerts, broken)) as sim:
        await sim.emit(OrderPlaced("o1", "needs approval"))
        await sim.advance("2h")
        await sim.advance("2h")
        (told,) = sim.emitted(AlertSent)
        assert (told.kind, told.reason) == ("ProcessOverdue", "late= failed: ValueError: o1")
        assert "no outcome by the deadline" in sim.verdict("o1").reasons[0]


@scene
async def test_a_deadline_without_an_event_is_told() -> None:
    from tests.scenario.watched_scenes import AlertSent, OrderShipped, alerts, shipping

    from onstage import App, Process

    plain = Process("order", starts=OrderPlaced, done=OrderShipped, deadline="2h")
    async with Sim(App(payment, shipping, alerts, plain)) as sim:
        await sim.emit(OrderPlaced("o1", "needs approval"))
        await sim.advance("2h")
        (told,) = sim.emitted(AlertSent)
        assert "order has no outcome, its deadline was" in told.reason
        assert sim.verdict("o1").status == "stuck"


@scene
async def test_what_a_process_did_before_it_was_watched_is_not_told() -> None:
    from tests.scenario.watched_scenes import AlertSent, shipping

    from onstage import App

    async with Sim(App(payment, shipping)) as sim:
        await sim.emit(OrderPlaced("o1", "ends dead"))
        await sim.settle()
        await sim.deploy(shop)
        await sim.emit(OrderPlaced("o2"))
        await sim.settle()
        assert [each.kind for each in sim.emitted(AlertSent)] == ["ProcessCompleted"]


def test_a_webhook_is_told_of_a_dead_end_and_not_of_an_end() -> None:
    sent: list[dict[str, Any]] = []

    def send(url: str, name: str, body: bytes) -> int:
        sent.append(json.loads(body) | {"url": url, "name": name})
        return 204

    async def story() -> None:
        clock, workers = SystemClock(), InlineWorkers()
        store = MemoryStore(clock=clock, workers=workers)
        alerts = Alerts("http://desk", workers, send)
        node = Node([payment, shipping], [order], store=store, clock=clock, workers=workers, alerts=alerts)
        await node.start()
        ways = LocalWays(node)
        for name, way in (("o1", "by itself"), ("o2", "ends dead")):
            data = node.types["order-placed"].encode(OrderPlaced(name, way))
            await ways.emit("order-placed", data, id=None, source=None)
        async with asyncio.timeout(10):
            while not sent:  # noqa: ASYNC110  the receiver tells nobody
                await asyncio.sleep(0.01)
        await node.close()
        (view,) = await store.reader.processes(key="o2")
        (told,) = sent
        assert (told["type"], told["url"]) == ("onstage.process.dead-end", "http://desk")
        assert told["id"] == told["name"] == f"{view.wire_id}/1"
        assert told["data"]["key"] == "o2"

    asyncio.run(story())
