"""Processes that are undone where services run apart: the shop of `undone_scenes`, a store for each service."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from tests.scenario import undone_scenes as scenes
from tests.unit.runtime.troupe import Staged, Troupe, touring

from onstage import App
from onstage.brokers.embedded import EmbeddedBroker
from onstage.core.commit import Notes
from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.ports.broker import Message
from onstage.ports.store import Reader
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.wave_links import AskedEdge, asked_notes, unanswered
from onstage.runtime.wave_mail import WAVE

PLANS = ("refused", "rejected", "late")
SEEDS = 8


def scene(app: App) -> Staged:
    """The services and the process of an app of scenes."""
    return Staged(*app.services, *app.processes)


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    scenes.reset()
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def mail_of(troupe: Troupe) -> list[Message]:
    """What parts have told each other of undoing."""
    found = [each for each in troupe.messages("ctl.") if WAVE in each.headers]
    return [Message(each.subject, each.data, each.headers, None) for each in found]


async def waves_in(reader: Reader) -> list[str]:
    return [row.state for row in await reader.waves()]


async def parked_in(reader: Reader) -> list[str]:
    return [view.handler for view in await reader.executions(statuses=[Status.PARKED])]


async def edges_that_cross(troupe: Troupe) -> int:
    """The edges of all events that lead to another store, but those of what follows from the outcome that decided."""
    count = 0
    for name, node in troupe.nodes.items():
        exchange = troupe.exchange(name)
        exempt = set().union(*node.waves.stopped.values())
        for event in await node.store.reader.events(limit=1000):
            topology = exchange.registry.kept(event.topology)
            is_foreign = node.names_of(event) is not None and event.cause == 0
            if event.n in exempt or topology is None or is_foreign:
                continue
            owing = {each.removesuffix("/wait") for each in topology.obligations(event.type)}
            count += sum(topology.services.get(each, name) != name for each in owing)
    return count


@pytest.mark.parametrize("plan", PLANS)
def test_all_is_undone_after_what_it_caused(plan: str) -> None:
    async def story() -> str:
        async with touring(play=scene(scenes.APP)) as troupe:
            process = await troupe.emit("desk", scenes.Placed("o1", plan))
            said = str(await troupe.verdict(process))
            kinds = Counter(each.headers[WAVE] for each in mail_of(troupe))
            edges = await edges_that_cross(troupe)
            assert edges >= 5
            assert kinds["cancel"] + kinds["undone"] == 2 * edges
            assert kinds["asked"] + kinds["said"] == (0 if plan == "refused" else 2)  # one rejects, and asks the owner
            return said

    said = asyncio.run(story())
    scenes.check(plan)
    wanted = {"refused": "undone.refused", "rejected": "payment.charge rejected: no credit"}
    assert said == f"compensated: {wanted.get(plan, 'shipping.ship rejected: no van')}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_is_told_twice_late_or_in_another_order_and_whoever_stops(seed: int) -> None:
    """Old messages come again and again, and nodes are stopped and started in between."""
    random = Random(seed)
    plan = PLANS[seed % len(PLANS)]

    async def meddle(troupe: Troupe) -> None:
        broker = EmbeddedBroker(troupe.log)
        await broker.open()
        names = [service.name for service in troupe.play.services]
        for _ in range(12):
            await asyncio.sleep(random.choice((0.0, 0.01, 0.05)))
            told = mail_of(troupe)
            if told:
                again = [told[random.randrange(len(told))] for _ in range(5)]
                await broker.publish(again)
            if random.random() < 0.5:
                name = random.choice(names)
                await troupe.end(name)
                await asyncio.sleep(random.choice((0.0, 0.05, 0.1)))
                await troupe.begin(name)

    async def story() -> str:
        async with touring(play=scene(scenes.APP)) as troupe:
            process = await troupe.emit("stock", scenes.Placed("o1", plan))
            await meddle(troupe)
            return (await troupe.verdict(process)).status

    assert asyncio.run(story()) == "compensated"
    scenes.check(plan)


@pytest.mark.parametrize("handler", ["payment.charge", "payment.gone"])
def test_what_a_part_is_asked_behind_its_end_is_answered_after_a_crash(handler: str) -> None:
    """It had undone all of its own; then came another edge, was noted, and the node died before it could answer."""

    async def story() -> None:
        async with touring(play=scene(scenes.APP)) as troupe:
            process = await troupe.emit("desk", scenes.Placed("o1", "refused"))
            assert (await troupe.verdict(process)).status == "compensated"
            node = troupe.nodes["payment"]
            (row,) = await node.store.reader.waves()
            asked = asked_notes(row.process, AskedEdge("elsewhere-1-9", handler, waits=False, by="desk"))
            await node.store.durable(node.append_notes(Notes(asked)))
            assert await unanswered(node.store.reader) == [row.process]
            await troupe.end("payment")
            await troupe.begin("payment")
            await troupe.until(lambda: any(b"elsewhere-1-9" in each.data for each in mail_of(troupe)))
            assert [each.headers[WAVE] for each in mail_of(troupe) if b"elsewhere-1-9" in each.data] == ["undone"]
            assert await unanswered(troupe.nodes["payment"].store.reader) == []

    asyncio.run(story())


def idle_waits(troupe: Troupe) -> bool:
    """Whether the payment has come to the last service."""
    return any(delivery.parked for delivery in troupe.nodes["idle"].open.values())


def test_a_service_that_is_down_is_waited_for_and_an_operator_asks_anywhere() -> None:
    """The undo of the shelf waits for that of the charge, which waits for its service."""

    async def story() -> str:
        async with touring(play=scene(scenes.FOREVER)) as troupe:
            process = await troupe.emit("desk", scenes.Placed("o1"))
            await troupe.until(lambda: "+quote7 o1" in scenes.DID and idle_waits(troupe))
            await troupe.end("payment")
            with pytest.raises(LookupError, match="nothing of it has come here"):
                await LocalWays(troupe.nodes["idle"]).control("undo", "elsewhere-1-1")
            said = await LocalWays(troupe.nodes["pricing"]).control("cancel", process)
            assert said == f"the cancel of process {process} is on its way to desk, which decides"
            await troupe.until(lambda: "-rate o1" in scenes.DID)
            assert not {"-charge o1", "-label o1", "-shelf o1"} & set(scenes.DID)
            assert troupe.observatory is not None
            now = await troupe.observatory.verdict(process, 0.0)
            assert now is not None
            assert now.status == "compensating"
            await troupe.begin("payment")
            return str(await troupe.verdict(process))

    assert asyncio.run(story()) == "compensated: cancelled by an operator"
    assert {"-charge o1", "-label o1", "-shelf o1"} <= set(scenes.DID)


def test_a_pivot_waits_for_the_owner_and_then_nothing_is_undone() -> None:
    async def story() -> str:
        async with touring(play=scene(scenes.TRAIN)) as troupe:
            process = await troupe.emit("desk", scenes.Placed("o1", "derailed"))
            await troupe.until(lambda: "+charge o1" in scenes.DID)
            await troupe.end("desk")
            await troupe.until(lambda: "+ticket o1" in scenes.DID)
            await asyncio.sleep(0.2)
            assert "+depart o1" not in scenes.DID
            await troupe.begin("desk")
            await troupe.until(lambda: "+depart o1" in scenes.DID)
            node = troupe.nodes["desk"]
            with pytest.raises(UsageError, match="has passed its pivot"):
                await LocalWays(node).control("cancel", process)
            ways = LocalWays(node)
            await ways.emit("undone.approved", b'{"order":"o1"}', id=None, source=None, process=process)
            return str(await troupe.verdict(process))

    assert asyncio.run(story()) == "completed (undone.refused)"
    assert not [what for what in scenes.DID if what.startswith("-")]


def test_of_a_cancel_and_a_pivot_elsewhere_one_comes_first() -> None:
    async def story() -> str:
        async with touring(play=scene(scenes.TRAIN)) as troupe:
            process = await troupe.emit("desk", scenes.Placed("o1"))
            await troupe.until(lambda: "+ticket o1" in scenes.DID)
            try:
                await LocalWays(troupe.nodes["desk"]).control("cancel", process)
            except UsageError:
                await troupe.until(lambda: "+depart o1" in scenes.DID)
                return "pivoted"
            return str(await troupe.verdict(process))

    said = asyncio.run(story())
    assert said in ("pivoted", "compensated: cancelled by an operator")
    assert ("+depart o1" in scenes.DID) == (said == "pivoted")
    assert ("-ticket o1" in scenes.DID) == (said != "pivoted")


def test_what_is_given_up_in_one_service_is_residue_of_the_whole() -> None:
    scenes.lost.add("label")

    async def story() -> str:
        async with touring(play=scene(scenes.APP)) as troupe:
            await troupe.emit("desk", scenes.Placed("o1", "refused"))
            stock = troupe.nodes["stock"]
            await troupe.until_durable(lambda: parked_in(stock.store.reader), ["onstage.undo"])
            undos = await stock.store.reader.executions(statuses=[Status.PARKED])
            (row,) = await troupe.nodes["desk"].store.reader.waves()
            assert row.state == "compensating"
            process = troupe.messages("evt.")[0].headers["ce-correlationid"]
            assert troupe.observatory is not None
            stuck = await troupe.observatory.verdict(process, 1.0)
            assert stuck is not None
            assert stuck.status == "stuck"
            await LocalWays(stock).operate("drop", undos[0].id)
            return str(await troupe.verdict(process))

    said = asyncio.run(story())
    assert said.startswith("compensated with residue: undone.refused; stock.reserve: ")
    assert "nobody takes the label back" in said


def test_nothing_is_undone_before_what_it_caused_in_another_service() -> None:
    """The undo of the charge fails: the label waits, in a service that could undo it at any time."""
    scenes.lost.add("charge")

    async def story() -> str:
        async with touring(play=scene(scenes.APP)) as troupe:
            await troupe.emit("desk", scenes.Placed("o1", "refused"))
            payment = troupe.nodes["payment"]
            await troupe.until_durable(lambda: parked_in(payment.store.reader), ["onstage.undo"])
            await troupe.until(lambda: "-rate o1" in scenes.DID)
            assert not {"-charge o1", "-label o1", "-shelf o1"} & set(scenes.DID)
            assert await waves_in(troupe.nodes["desk"].store.reader) == ["compensating"]
            scenes.lost.clear()
            (undo,) = await payment.store.reader.executions(statuses=[Status.PARKED])
            await LocalWays(payment).operate("retry", undo.id)
            process = troupe.messages("evt.")[0].headers["ce-correlationid"]
            return str(await troupe.verdict(process))

    assert asyncio.run(story()) == "compensated: undone.refused"
    scenes.check("refused")


def test_a_cancel_that_overtakes_its_event_leaves_a_tombstone() -> None:
    """Shipping hears of the payment when it has been told already that it is undone."""

    async def story() -> tuple[str, list[str]]:
        async with touring(play=scene(scenes.APP)) as troupe:
            await troupe.end("shipping")
            process = await troupe.emit("desk", scenes.Placed("o1"))
            await troupe.until(lambda: "+charge o1" in scenes.DID)
            await troupe.until(lambda: any(m.headers["ce-type"] == "undone.paid" for m in troupe.messages("evt.")))
            at = next(m.seq for m in troupe.messages("evt.") if m.headers["ce-type"] == "undone.paid")
            paid = troupe.log.at(at)
            assert paid is not None
            await LocalWays(troupe.nodes["desk"]).control("cancel", process)
            troupe.log.drop(at)
            await troupe.begin("shipping")
            owner = troupe.nodes["desk"].store.reader
            await troupe.until_durable(lambda: waves_in(owner), ["compensated"])
            assert troupe.observatory is not None
            now = await troupe.observatory.verdict(process, 0.0)
            assert now is not None
            assert now.status == "compensating", "it is owed by shipping until it has come there"
            troupe.log.append(Message(paid.subject, paid.data, paid.headers, None), is_new=True)
            said = str(await troupe.verdict(process))
            shipping = troupe.nodes["shipping"].store.reader
            views = await shipping.executions(process=1, statuses=[Status.SKIPPED])
            return said, [view.handler for view in views]

    said, skipped = asyncio.run(story())
    assert said == "compensated: cancelled by an operator"
    assert skipped == ["shipping.ship"]
    assert "+van o1" not in scenes.DID
