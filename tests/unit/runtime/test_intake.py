"""The intake: events of other stores, each once and without a gap."""

import asyncio

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import Troupe, touring

from onstage.ports.broker import Logged, Message
from onstage.runtime.marks import ID
from onstage.runtime.strands import ASK
from onstage.runtime.wire import identity_of


async def republish(troupe: Troupe, message: Logged) -> None:
    """Somebody publishes a message once more."""
    await troupe.exchange("shop").broker.publish([Message(message.subject, message.data, message.headers)])


def approved(troupe: Troupe) -> list[Logged]:
    return [message for message in troupe.messages("evt.") if message.headers["ce-type"] == "shop.approved"]


def test_an_event_that_comes_again_is_dropped() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            await republish(troupe, approved(troupe)[0])
            intake = troupe.exchange("bank").intake
            await troupe.until(lambda: intake.repeated == 1)
            await troupe.end("bank")
            await troupe.begin("bank")
            await republish(troupe, approved(troupe)[0])
            later = troupe.exchange("bank").intake
            await troupe.until(lambda: later.repeated == 1)
            assert troupe.play.effects.count(("charge", "o1")) == 1

    asyncio.run(story())


def test_what_comes_behind_a_gap_waits_until_it_is_closed() -> None:
    async def story() -> None:
        async with touring("shop", "post") as troupe:
            first = await troupe.emit("shop", Placed("o", 1))
            second = await troupe.emit("shop", Placed("o", 2))
            await troupe.until(lambda: len(approved(troupe)) == 2)
            troupe.log.drop(approved(troupe)[0].seq)
            await troupe.begin("bank")
            intake = troupe.exchange("bank").intake
            assert (await troupe.verdict(first)).outcome == "shop.paid"
            assert (await troupe.verdict(second)).outcome == "shop.paid"
            assert intake.gaps > 0
            assert intake.strands.lacks == ()
            assert any(ASK in message.headers for message in troupe.messages("ctl."))

    asyncio.run(story())


def test_an_event_that_was_sent_on_and_lost_is_asked_for() -> None:
    async def story() -> None:
        async with touring("post", "bank") as troupe:
            first = await troupe.emit("post", Placed("o1"))
            second = await troupe.emit("post", Placed("o2"))
            await troupe.until(lambda: len(troupe.messages("ctl.")) == 2)
            troupe.log.drop(troupe.messages("ctl.")[0].seq)
            await troupe.begin("shop")
            assert (await troupe.verdict(second)).outcome == "shop.paid"
            assert (await troupe.verdict(first)).outcome == "shop.paid"

    asyncio.run(story())


def test_a_process_of_another_store_has_one_number() -> None:
    async def story() -> None:
        async with touring() as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            await troupe.verdict(process)
            for name in ("bank", "post"):
                rows = await troupe.nodes[name].store.reader.processes()
                assert [row.wire_id for row in rows] == [process]

    asyncio.run(story())


def test_what_is_no_event_is_passed_over() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            subject, broker = approved(troupe)[0].subject, troupe.exchange("shop").broker
            await broker.publish([Message(subject, b"{", {ID: "x-y-1"}), Message(subject, b""), Message(subject, b"[")])
            await broker.publish([Message("ctl.onstage.bank", b"\xc1", {ASK: "1"}), Message("ctl.onstage.bank", b"")])
            process = await troupe.emit("shop", Placed("o1"))
            assert (await troupe.verdict(process)).outcome == "shop.paid"

    asyncio.run(story())


def test_identities_of_events_and_processes_differ() -> None:
    assert identity_of("event", "s-i-1") != identity_of("process", "s-i-1")
    assert len(identity_of("event", "s-i-1")) == 16
