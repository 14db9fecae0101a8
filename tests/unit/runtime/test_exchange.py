"""Nodes that exchange events over a broker: what one emits, another handles, and the observer knows how it ended."""

import asyncio

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import touring

from onstage.core.commit import event_of


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
