"""What a node publishes, as messages."""

import asyncio

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import touring

from onstage.events.binding import from_message
from onstage.events.wire_receipt import decode_wire
from onstage.runtime.marks import ID
from onstage.runtime.outgoing import NUMBER, POSITION, SERVICE, Outgoing, decode_forward, is_own
from onstage.runtime.relay import FORWARD


def test_an_event_names_its_cause_wherever_it_was_logged() -> None:
    async def story() -> None:
        async with touring() as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            await troupe.verdict(process)
            events = {message.headers["ce-type"]: message for message in troupe.messages("evt.")}
            approved = from_message(events["shop.approved"].headers, events["shop.approved"].data)
            paid = from_message(events["shop.paid"].headers, events["shop.paid"].data)
            assert approved.causationid == f"{process}/shop.review"
            assert paid.causationid == f"{events['shop.approved'].headers[ID]}/bank.take"
            assert paid.correlationid == process
            assert events["shop.paid"].headers[SERVICE] == "bank"
            assert paid.sequence == "1"

    asyncio.run(story())


def test_bundles_are_counted_over_all_shards_of_a_store() -> None:
    async def story() -> None:
        async with touring() as troupe:
            for n in range(3):
                await troupe.verdict(await troupe.emit("shop", Placed(f"o{n}")))
            bundles = [message for message in troupe.messages("rcpt.") if message.headers[SERVICE] == "shop"]
            assert len({message.subject for message in bundles}) > 1
            assert [int(message.headers[POSITION]) for message in bundles] == list(range(1, len(bundles) + 1))

    asyncio.run(story())


def test_what_is_sent_on_is_counted_for_its_owner() -> None:
    async def story() -> None:
        async with touring("post") as troupe:
            node = troupe.nodes["post"]
            for n in range(2):
                await troupe.emit("post", Placed(f"o{n}"), id=f"place-{n}")
            notes = await node.store.reader.notes(FORWARD)
            outgoing = Outgoing(node, "onstage")
            assert [decode_forward(note.body)[0] for note in notes] == ["shop", "shop"]
            message = outgoing.forward(notes[1], 2)
            assert (message.subject, message.headers[NUMBER]) == ("ctl.onstage.shop", "2")
            assert message.headers["ce-id"] == "place-1"

    asyncio.run(story())


def test_only_what_a_store_has_logged_first_is_its_own() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            own = {name: [is_own(e) for e in await node.store.reader.events()] for name, node in troupe.nodes.items()}
            assert own == {"shop": [True, True], "bank": [False, True], "post": [False]}
            receipts = [r for m in troupe.messages("rcpt.") for r in decode_wire(m.data)]
            assert {r.handler for r in receipts} == {"", "shop.review", "bank.take", "post.tell"}

    asyncio.run(story())
