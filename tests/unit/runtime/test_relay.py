"""The relay: everything is published, in order, and again when the log has lost it."""

import asyncio
from collections.abc import Sequence

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import Troupe, touring

from onstage.brokers.embedded import Fate
from onstage.events.wire_receipt import decode_wire
from onstage.ports.broker import Message
from onstage.runtime.marks import ID
from onstage.runtime.strands import Ask


class Fates:
    """What the next publishes come to."""

    def __init__(self, *fates: Fate) -> None:
        self._fates = list(fates)

    def on_publish(self, _: Sequence[Message]) -> Fate:
        return self._fates.pop(0) if self._fates else Fate()


def numbers(troupe: Troupe) -> dict[str, set[str]]:
    """The public ids by subject and number: one id for each number, however often it was published."""
    found: dict[str, set[str]] = {}
    for message in troupe.messages("evt."):
        found.setdefault(f"{message.subject} {message.headers['ce-sequence']}", set()).add(message.headers[ID])
    return found


def test_no_receipt_stands_before_an_event_that_it_speaks_of() -> None:
    async def story() -> None:
        async with touring() as troupe:
            for n in range(5):
                await troupe.verdict(await troupe.emit("shop", Placed(f"o{n}")))
            seen: set[str] = set()
            for message in troupe.messages():
                if message.subject.startswith("evt."):
                    seen.add(message.headers[ID])
                elif message.subject.startswith("rcpt."):
                    receipts = decode_wire(message.data)
                    assert {r.event for r in receipts} | {wire for r in receipts for wire, _ in r.outputs} <= seen
            assert len(seen) == 15

    asyncio.run(story())


def test_an_unanswered_publish_is_repeated_under_the_same_ids() -> None:
    async def story() -> None:
        async with touring("bank", "post") as troupe:
            await troupe.begin("shop", faults=Fates(Fate.unanswered(), Fate.lost(), Fate((0,), answered=False)))
            process = await troupe.emit("shop", Placed("o1"))
            assert (await troupe.verdict(process)).outcome == "shop.paid"
            ids = [message.headers[ID] for message in troupe.messages()]
            assert len(ids) == len(set(ids))

    asyncio.run(story())


def test_a_loss_behind_which_more_was_published_is_noticed() -> None:
    async def story() -> None:
        async with touring("shop") as troupe:
            for n in range(4):
                await troupe.emit("shop", Placed(f"a{n}"))
                count = 2 * (n + 1)
                await troupe.until(lambda count=count: len(numbers(troupe)) == count)  # type: ignore[misc]
            relay = troupe.exchange("shop").relay
            relay._doubtful = False  # noqa: SLF001
            troupe.log.truncate(4)
            lost = len(numbers(troupe))
            # More comes than was lost: the newest mark stands, and so does the number of messages.
            for n in range(6):
                await troupe.emit("shop", Placed(f"b{n}"))
            await troupe.until(lambda: len(numbers(troupe)) > lost)
            relay.doubt()
            await troupe.until(lambda: len(numbers(troupe)) == 20)
            assert relay.republished > 0
            assert all(len(ids) == 1 for ids in numbers(troupe).values()), "a number means one event for ever"

    asyncio.run(story())


def test_going_back_survives_the_node() -> None:
    async def story() -> None:
        async with touring("shop") as troupe:
            for n in range(3):
                await troupe.emit("shop", Placed(f"a{n}"))
            await troupe.until(lambda: len(numbers(troupe)) == 6)
            await troupe.end("shop")
            troupe.log.begin_anew()
            await troupe.begin("shop")
            await troupe.until(lambda: len(numbers(troupe)) == 6)
            await troupe.end("shop")
            await troupe.begin("shop")
            await troupe.emit("shop", Placed("b"))
            await troupe.until(lambda: len(numbers(troupe)) == 8)
            relay = troupe.exchange("shop").relay
            await relay._look()  # noqa: SLF001
            assert relay._kept > 0, "where it began to publish stands for ever: it does not go back there again"  # noqa: SLF001
            assert all(len(ids) == 1 for ids in numbers(troupe).values())

    asyncio.run(story())


def test_the_last_message_of_a_subject_that_is_gone_is_published_again() -> None:
    """The observer has it, the marks stand, and nothing comes behind it: nobody else can know."""

    async def story() -> None:
        async with touring("shop", "post") as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            await troupe.until(lambda: len(numbers(troupe)) == 2)
            (approved,) = [each for each in troupe.messages("evt.") if each.headers["ce-type"] == "shop.approved"]
            relay = troupe.exchange("shop").relay
            await troupe.until(lambda: not relay._doubtful and relay.sent_n == 2)  # noqa: SLF001
            troupe.log.drop(approved.seq)
            await troupe.begin("bank")
            relay.doubt()
            assert (await troupe.verdict(process)).outcome == "shop.paid"
            again = relay.republished
            await troupe.end("shop")
            await troupe.begin("shop")
            relay = troupe.exchange("shop").relay
            await troupe.until(lambda: not relay._doubtful)  # noqa: SLF001
            assert relay.republished == 0, "the holes are known through restarts"
            assert 0 < again <= 3

    asyncio.run(story())


def test_the_ends_are_one_message_for_each_subject_and_a_bundle() -> None:
    async def story() -> None:
        async with touring("post", "bank", "shop") as troupe:
            for n in range(3):
                await troupe.verdict(await troupe.emit("post", Placed("o1", n)))
            relays = {name: troupe.exchange(name).relay for name in ("post", "shop", "bank")}
            found = {name: [each async for each in relay._ends()] for name, relay in relays.items()}  # noqa: SLF001
            sent = {name: [each.subject.split(".")[0] for each in ends] for name, ends in found.items()}
            assert sent == {"post": ["ctl", "rcpt"], "shop": ["evt", "evt", "rcpt"], "bank": ["evt", "rcpt"]}
            there = [[each.headers[ID] for each in troupe.messages(start)][-1] for start in ("ctl.", "evt.")]
            assert found["post"][0].headers[ID] == there[0]
            assert found["bank"][0].headers[ID] == there[1]
            assert found["bank"][0].headers["ce-sequence"] == "3"

    asyncio.run(story())


def test_what_is_asked_for_is_published_again() -> None:
    async def story() -> None:
        async with touring("shop") as troupe:
            for n in range(3):
                await troupe.emit("shop", Placed("o", n))
            await troupe.until(lambda: len(numbers(troupe)) == 6)
            before = troupe.log.last
            first = next(message for message in troupe.messages("evt.") if message.headers["ce-type"] == "shop.placed")
            relay, store = troupe.exchange("shop").relay, first.headers[ID].split("-")[0]
            assert await relay.send_again(Ask(store, first.subject, 1)) == 2
            assert await relay.send_again(Ask(store, events=(first.headers[ID],))) == 1
            assert await relay.send_again(Ask("another", first.subject, 0)) == 0
            again = [message.headers["ce-sequence"] for message in troupe.messages()[before:]]
            assert again == ["2", "3", "1"]
            receipts = len(troupe.messages("rcpt."))
            assert await relay.send_again(Ask(store)) == receipts

    asyncio.run(story())
