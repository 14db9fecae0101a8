"""Nodes that exchange events over a broker: what one emits, another handles, and the observer knows how it ended."""

import asyncio
from dataclasses import dataclass

import msgspec
import pytest
from tests.unit.runtime.playhouse import Approved, Placed
from tests.unit.runtime.troupe import touring

from onstage import Envelope, event
from onstage.brokers.embedded import EmbeddedBroker
from onstage.core.commit import event_of
from onstage.errors import UsageError
from onstage.events.binding import to_headers
from onstage.ports.broker import Message
from onstage.runtime.intake import REFUSED


@event("shop.later", key="id")
@dataclass(frozen=True)
class Later:
    id: str


def test_a_process_runs_through_three_nodes() -> None:
    async def story() -> None:
        async with touring() as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            verdict = await troupe.verdict(process)
            assert str(verdict) == "completed (shop.paid)"
            assert troupe.play.effects == [("charge", "o1"), ("Paid", "o1")]

    asyncio.run(story())


def test_an_event_from_outside_goes_to_the_owner_of_its_process() -> None:
    async def story() -> None:
        async with touring() as troupe:
            sent = await troupe.emit("post", Placed("o1"), id="place-1")
            assert str(await troupe.verdict(sent)) == "completed (shop.paid)"
            again = await troupe.emit("post", Placed("o1"), id="place-1")
            assert again == sent
            assert str(await troupe.verdict(again)) == "completed (shop.paid)"
            assert troupe.play.effects == [("charge", "o1"), ("Paid", "o1")]

    asyncio.run(story())


def test_a_service_that_is_down_delays_only_its_own_part() -> None:
    async def story() -> None:
        async with touring("shop", "post") as troupe:
            refused = await troupe.emit("shop", Placed("o1", -1))
            placed = await troupe.emit("shop", Placed("o2"))
            assert (await troupe.verdict(refused)).outcome == "shop.refused"
            assert troupe.observatory is not None
            waiting = await troupe.observatory.verdict(placed, 0)
            assert str(waiting) == "running: bank.take is ready"
            await troupe.begin("bank")
            assert (await troupe.verdict(placed)).outcome == "shop.paid"

    asyncio.run(story())


def test_what_a_node_has_seen_survives_its_restart() -> None:
    async def story() -> None:
        async with touring() as troupe:
            for number in range(5):
                process = await troupe.emit("shop", Placed(f"a{number}"))
                assert (await troupe.verdict(process)).is_final
                await troupe.end("bank", "shop")
                await troupe.begin("bank", "shop")
            assert sorted(troupe.play.effects) == sorted(
                [(what, f"a{n}") for n in range(5) for what in ("charge", "Paid")]
            )

    asyncio.run(story())


def test_a_broker_that_is_away_stops_nobody_from_emitting() -> None:
    async def story() -> None:
        async with touring() as troupe:
            troupe.log.leave()
            processes = [await troupe.emit("shop", Placed(f"o{number}")) for number in range(20)]
            troupe.log.come_back()
            for process in processes:
                assert (await troupe.verdict(process)).outcome == "shop.paid"
            assert len(troupe.play.effects) == 40

    asyncio.run(story())


def test_what_the_broker_lost_is_published_again() -> None:
    async def story() -> None:
        async with touring() as troupe:
            first = [await troupe.emit("shop", Placed(f"a{number}")) for number in range(10)]
            for process in first:
                await troupe.verdict(process)
            before = troupe.log.last
            troupe.log.truncate(before // 3)
            troupe.log.leave()
            second = [await troupe.emit("shop", Placed(f"b{number}")) for number in range(10)]
            troupe.log.come_back()
            for process in second:
                assert (await troupe.verdict(process)).outcome == "shop.paid"
            assert len(troupe.play.effects) == 40
            assert sum(node.exchange.relay.republished for node in troupe.nodes.values() if node.exchange) > 0

    asyncio.run(story())


def test_a_broker_that_was_made_anew_gets_everything_again() -> None:
    async def story() -> None:
        async with touring() as troupe:
            first = [await troupe.emit("shop", Placed(f"a{number}")) for number in range(5)]
            for process in first:
                await troupe.verdict(process)
            troupe.log.leave()
            troupe.log.begin_anew()
            troupe.log.values.clear()
            troupe.log.come_back()
            second = await troupe.emit("shop", Placed("b"))
            assert (await troupe.verdict(second)).outcome == "shop.paid"
            assert len(troupe.play.effects) == 12

    asyncio.run(story())


def test_an_observer_knows_what_followed_from_what_across_nodes() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            placed, approved, paid = await troupe.watching.reader.events()
            numbers = {view.id: view.handler for view in await troupe.watching.reader.executions(process=placed.n)}
            causes = [(each.type, numbers.get(each.cause), event_of(each.cause)) for each in (placed, approved, paid)]
            assert causes == [
                ("shop.placed", None, 0),
                ("shop.approved", "shop.review", placed.n),
                ("shop.paid", "bank.take", approved.n),
            ]

    asyncio.run(story())


def test_a_service_runs_on_one_store_only() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.end("bank")
            kept = troupe.stores.pop("bank")
            with pytest.raises(UsageError, match="service bank has another store"):
                await troupe.begin("bank")
            await troupe.end("bank")
            troupe.stores["bank"] = kept
            await troupe.begin("bank")
            process = await troupe.emit("shop", Placed("o1"))
            assert (await troupe.verdict(process)).outcome == "shop.paid"

    asyncio.run(story())


def test_a_store_goes_on_with_the_services_it_began_with() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.end("bank", "shop")
            troupe.stores["bank"] = troupe.stores.pop("shop")
            with pytest.raises(UsageError, match="this store is that of shop, not of bank"):
                await troupe.begin("bank")
            await troupe.end("bank")

    asyncio.run(story())


def test_a_handler_that_comes_later_hears_no_history() -> None:
    async def story() -> None:
        async with touring() as troupe:
            for number in range(5):
                process = await troupe.emit("shop", Placed(f"a{number}"))
                assert (await troupe.verdict(process)).is_final
            await troupe.end("post")
            heard: list[str] = []

            @troupe.play.post.on(Approved)
            async def note(e: Approved) -> None:
                heard.append(e.id)

            troupe.clock.ahead_ms += 2_000  # epochs are seconds
            await troupe.begin("post")
            newest = troupe.nodes["post"].numbers
            await troupe.end("shop")
            await troupe.begin("shop")
            await troupe.until(lambda: troupe.nodes["shop"].numbers.topology == newest.topology)
            process = await troupe.emit("shop", Placed("b"))
            assert (await troupe.verdict(process)).outcome == "shop.paid"
            await troupe.until(lambda: heard != [])
            assert heard == ["b"]
            assert troupe.exchange("shop").relay.republished == 0

    asyncio.run(story())


def test_versions_that_disagree_do_not_undo_each_other() -> None:
    async def story() -> None:
        async with touring() as troupe:
            registry = troupe.exchange("bank").registry
            manifest = troupe.nodes["bank"].manifest
            (order,) = manifest.processes
            other = msgspec.structs.replace(manifest, processes=(msgspec.structs.replace(order, deadline_s=5.0),))
            epoch = (await registry.register(other, {"bank"})).epoch
            for said in (manifest, other, manifest):
                assert (await registry.register(said, {"bank"})).epoch == epoch, "the owner of the process is the shop"

    asyncio.run(story())


def test_an_event_that_its_owner_cannot_read_is_kept_and_tried_again() -> None:
    heard: list[str] = []

    async def story() -> None:
        async with touring() as troupe:
            broker = EmbeddedBroker(troupe.log)
            await broker.open()
            headers = to_headers(Envelope(id="x1", source="//elsewhere/door", type="shop.later"))
            await broker.publish([Message("ctl.onstage.shop", b'{"id": "o1"}', headers)])
            reader = troupe.stores["shop"].reader
            async with asyncio.timeout(10):
                while not await reader.notes(REFUSED):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await reader.events() == []
            await troupe.end("shop")

            @troupe.play.shop.on(Later)
            async def hear(e: Later) -> None:
                heard.append(e.id)

            await troupe.begin("shop")
            await troupe.until(lambda: heard != [])
            await troupe.nodes["shop"].settle_window()
            assert await troupe.stores["shop"].reader.notes(REFUSED) == []

    asyncio.run(story())
    assert heard == ["o1"]
