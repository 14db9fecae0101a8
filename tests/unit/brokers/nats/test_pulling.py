"""Cursors over a consumer: what its numbers prove, what its statuses mean, and when it is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.unit.brokers.nats.fake_link import Arrived, FakeLink

from onstage.brokers.nats.pulling import PULL_MESSAGES_MAX, NatsCursor, ack_place
from onstage.errors import BrokerUnavailable, UsageError
from onstage.ports.broker import CursorLost
from onstage.testing.virtual_loop import VirtualLoop


class Consumer:
    """What the server says of the consumer that it was asked to make."""

    def __init__(self, **changed: Any) -> None:
        self.config: dict[str, Any] = {}
        self.changed = changed

    def __call__(self, subject: str, data: bytes, _: Any) -> object:
        if ".CREATE." in subject:
            self.config = msgspec.json.decode(data)["config"]
        return {"config": self.config | self.changed}


def on_virtual_time(scene: Callable[[], Awaitable[None]]) -> float:
    """Play it; answers how many virtual seconds it took."""
    loop = VirtualLoop()
    task = loop.create_task(scene())
    ended_s: list[float] = []
    task.add_done_callback(lambda _: ended_s.append(loop.time()))
    loop.run_to(3600)
    assert task.done(), "it waits for ever"
    task.result()
    loop.close()
    return ended_s[0]


async def begun(link: Any, after: int = 0) -> NatsCursor:
    cursor = NatsCursor(link, "c", after, idle_s=2)
    await cursor.begin(["evt.shop.>", "evt.shop.1.a"])
    return cursor


def delivery(nth: int, seq: int, *, delivered: int = 1) -> Arrived:
    headers = {"ce-id": str(seq), "Nats-Msg-Id": f"id-{seq}", "Nats-Batch-Id": "b"}
    return Arrived("evt.shop.1.a", f"$JS.ACK.ONSTAGE_shop.c.{delivered}.{seq}.{nth}.0.0", b"x", headers)


def status(code: int, said: str, **headers: str) -> Arrived:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Arrived("_INBOX.x.1", "", b"", {"Status": str(code), "Description": said, **named})


def pulls(link: FakeLink) -> list[dict[str, Any]]:
    return [msgspec.json.decode(data) for subject, data, _ in link.sent if ".MSG.NEXT." in subject]


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.ACK.S.c.3.17.5.1700000000.9",
        "$JS.ACK._.hash.S.c.3.17.5.1700000000.9",
        "$JS.ACK.hub.hash.S.c.3.17.5.1700000000.9.random",
    ],
)
def test_both_forms_of_the_subject_are_read(subject: str) -> None:
    place = ack_place(subject)
    assert (place.delivered, place.seq, place.nth) == (3, 17, 5)


@pytest.mark.parametrize(
    "subject", ["", "$JS.ACK", "a.b.c.d.e.f.g.h.i", "$JS.ACK.S.c.x.1.2.3.4", "$JS.ACK." + "1." * 7]
)
def test_another_subject_is_none(subject: str) -> None:
    with pytest.raises(ValueError, match=r"acknowledges|invalid literal"):
        ack_place(subject)


def test_the_consumer_begins_behind_the_place_and_is_checked() -> None:
    async def scene() -> None:
        consumer = Consumer()
        await begun(FakeLink(consumer), after=41)
        assert (consumer.config["opt_start_seq"], consumer.config["max_deliver"]) == (42, -1)
        assert consumer.config["filter_subjects"] == ["evt.shop.>"], "the server takes none that overlap"
        with pytest.raises(BrokerUnavailable, match="max_deliver"):
            await begun(FakeLink(Consumer(max_deliver=5)))
        with pytest.raises(UsageError):
            await NatsCursor(FakeLink(consumer), "c", 0).begin([])  # type: ignore[arg-type]

    on_virtual_time(scene)


def test_requests_name_the_group_of_this_very_consumer() -> None:
    async def scene() -> None:
        consumer = Consumer()
        link = FakeLink(consumer)
        cursor = await begun(link)
        await link.take(delivery(1, 5))
        await cursor.next()
        assert pulls(link)[0]["group"] in consumer.config["priority_groups"]
        assert pulls(link)[0]["idle_heartbeat"] == 2_000_000_000

    on_virtual_time(scene)


def test_messages_are_answered_in_order_and_the_next_are_asked_for_ahead() -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        waiting = asyncio.ensure_future(cursor.next(limit=3))
        await asyncio.sleep(0)
        for nth in range(1, 5):
            await link.take(delivery(nth, 10 * nth))
        first = await waiting
        assert [(logged.seq, logged.id, logged.headers) for logged in first] == [
            (seq, f"id-{seq}", {"ce-id": str(seq)}) for seq in (10, 20, 30)
        ]
        assert [logged.seq for logged in await cursor.next()] == [40]
        for nth in range(5, PULL_MESSAGES_MAX + 1):
            await link.take(delivery(nth, 10 * nth))
        assert len(pulls(link)) == 2, "while one is under way, another is asked for"
        assert sum(pull["batch"] for pull in pulls(link)) == 2 * PULL_MESSAGES_MAX

    on_virtual_time(scene)


def test_a_gap_in_the_deliveries_loses_the_cursor() -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        await link.take(delivery(1, 10))
        await link.take(delivery(3, 12))
        with pytest.raises(CursorLost, match="delivery 2 did not arrive"):
            await cursor.next()

    on_virtual_time(scene)


def test_a_heartbeat_that_knows_of_more_loses_the_cursor() -> None:
    """The last messages before a pause are missed by no later number."""

    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        await link.take(delivery(1, 10))
        await link.take(status(100, "Idle Heartbeat", Nats_Last_Consumer="1"))
        assert len(await cursor.next()) == 1
        await link.take(status(100, "Idle Heartbeat", Nats_Last_Consumer="2"))
        with pytest.raises(CursorLost, match="delivery 2 was the last, 1 arrived"):
            await cursor.next()

    on_virtual_time(scene)


def test_what_was_answered_is_passed_over_when_it_is_delivered_again() -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link, after=9)
        await link.take(delivery(1, 10))
        await link.take(delivery(2, 10, delivered=2))
        await link.take(delivery(3, 8))
        await link.take(delivery(4, 11))
        assert [logged.seq for logged in await cursor.next()] == [10, 11]

    on_virtual_time(scene)


def test_silence_for_twice_the_heartbeat_loses_the_cursor() -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        waiting = asyncio.ensure_future(cursor.next())
        for _ in range(3):
            await asyncio.sleep(3)
            await link.take(status(100, "Idle Heartbeat", Nats_Last_Consumer="0"))
        with pytest.raises(CursorLost, match="said nothing for 4 s"):
            await waiting

    assert on_virtual_time(scene) == 9 + 4


def test_a_request_that_expired_is_followed_by_another() -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        waiting = asyncio.ensure_future(cursor.next())
        await asyncio.sleep(0)
        await link.take(status(408, "Request Timeout", Nats_Pending_Messages=str(PULL_MESSAGES_MAX)))
        await asyncio.sleep(0.01)
        assert len(pulls(link)) == 2
        await link.take(status(409, "Message Size Exceeds MaxBytes", Nats_Pending_Messages=str(PULL_MESSAGES_MAX)))
        await link.take(delivery(1, 3))
        assert [logged.seq for logged in await waiting] == [3]

    on_virtual_time(scene)


@pytest.mark.parametrize(
    "said",
    [
        status(409, "Consumer Deleted"),
        status(404, "No Messages"),
        status(503, ""),
        status(409, "Leadership Change"),
        status(400, "Bad Request - Priority Group Required"),
        status(408, "Request Timeout"),
        Arrived("evt.shop.1.a", "", b"no number"),
    ],
    ids=lambda said: said.headers["Description"] if said.headers else "no number",
)
def test_whatever_else_the_server_says_loses_the_cursor(said: Arrived) -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        waiting = asyncio.ensure_future(cursor.next())
        await asyncio.sleep(0)
        await link.take(said)
        with pytest.raises(CursorLost):
            await waiting

    assert on_virtual_time(scene) == 0


def test_a_broken_connection_loses_the_cursor_at_once() -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        waiting = asyncio.ensure_future(cursor.next())
        await asyncio.sleep(0)
        for tell in tuple(link.when_gone):
            tell("it broke")
        with pytest.raises(CursorLost, match="it broke"):
            await waiting
        assert not link.when_gone, "nobody is told twice"
        other = await begun(link)
        link.is_up = False
        with pytest.raises(CursorLost, match="it is away"):
            await other.next()

    assert on_virtual_time(scene) == 0


def test_an_acknowledgement_names_the_last_message_that_it_covers() -> None:
    async def scene() -> None:
        link = FakeLink(Consumer())
        cursor = await begun(link)
        for nth in range(1, 4):
            await link.take(delivery(nth, 10 * nth))
        await cursor.next()
        for seq in (5, 25, 25, 99):
            await cursor.ack(seq)
        acks = [subject for subject, data, _ in link.sent if data == b"+ACK"]
        assert acks == [delivery(2, 20).reply, delivery(3, 30).reply]

    on_virtual_time(scene)
