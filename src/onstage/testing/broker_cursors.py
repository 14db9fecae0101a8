"""The contract of a broker's cursors: in order, without a hole, or lost and saying so."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from onstage.errors import UsageError
from onstage.events.subject import receipt_subject
from onstage.ports.broker import CursorLost, Message
from onstage.testing.broker_trial import BrokerMaker, read, tried

if TYPE_CHECKING:
    from onstage.ports.broker import Logged
    from onstage.testing.broker_trial import BrokerTrial

__all__ = ["BrokerCursors"]


class BrokerCursors(BrokerMaker):
    """A cursor leaves nothing out as long as it lives."""

    @tried
    async def test_a_cursor_reads_what_is_later_than_its_place(self, t: BrokerTrial) -> None:
        """In the order of the log, as the log has it."""
        await t.broker.publish(t.messages(range(20)))
        cursor = await t.broker.cursor("c", t.everything, after=12)
        assert await read(cursor, 8) == await t.log(after=12)

    @tried
    async def test_a_cursor_answers_no_more_than_it_is_asked_for(self, t: BrokerTrial) -> None:
        """And at least one."""
        await t.broker.publish(t.messages(range(10)))
        cursor = await t.broker.cursor("c", t.everything, after=0)
        sizes: list[int] = []
        while sum(sizes) < 10:
            sizes.append(len(await cursor.next(limit=3)))
        assert set(sizes) <= {1, 2, 3}

    @tried
    async def test_a_cursor_waits_for_what_comes(self, t: BrokerTrial) -> None:
        """From whichever connection."""
        other = await t.another()
        cursor = await t.broker.cursor("c", t.everything, after=0)
        for n in range(5):
            waiting = asyncio.ensure_future(cursor.next())
            await asyncio.sleep(0)
            await other.publish([t.message(n)])
            assert [logged.data for logged in await waiting] == [b"%d" % n]

    @tried
    async def test_a_cursor_reads_its_subjects_only(self, t: BrokerTrial) -> None:
        """Plain ones, patterns, and patterns that overlap: each message once."""
        types = ("a", "b", "a.x", "b.x.y")
        sent = [t.message(n, type_=types[n % 4], partition=n % 3) for n in range(24)]
        await t.broker.publish([*sent, Message(receipt_subject(t.namespace, 1), b"r")])
        start = f"evt.{t.namespace}"
        wanted = {
            (f"{start}.1.a",): [4, 16],
            (f"{start}.*.b", f"{start}.0.a"): [0, 1, 5, 9, 12, 13, 17, 21],
            (f"{start}.*.b.>", f"{start}.2.b.x.y"): [3, 7, 11, 15, 19, 23],
            (f"{start}.2.>", f"{start}.2.a", f"{start}.2.*"): [2, 5, 8, 11, 14, 17, 20, 23],
        }
        for place, (subjects, numbers) in enumerate(wanted.items()):
            cursor = await t.broker.cursor(f"c{place}", subjects, after=0)
            assert [int(logged.data) for logged in await read(cursor, len(numbers))] == numbers
            await cursor.close()
        receipts = await t.broker.cursor("r", [f"rcpt.{t.namespace}.*"], after=0)
        assert [logged.data for logged in await receipts.next()] == [b"r"]

    @tried
    async def test_a_cursor_reads_thousands_that_nobody_acknowledges(self, t: BrokerTrial) -> None:
        """Acknowledging is a courtesy."""
        await t.broker.publish(t.messages(range(3500)))
        cursor = await t.broker.cursor("c", t.everything, after=0)
        assert [logged.seq for logged in await read(cursor, 3500)] == list(range(1, 3501))
        await t.broker.publish([t.message(3500)])
        assert [logged.seq for logged in await cursor.next()] == [3501]

    @tried
    async def test_a_place_behind_the_end_is_reached_first(self, t: BrokerTrial) -> None:
        """What is not later than it is not read."""
        await t.broker.publish(t.messages(range(2)))
        cursor = await t.broker.cursor("c", t.everything, after=4)
        await t.broker.publish(t.messages(range(2, 6)))
        assert [logged.seq for logged in await read(cursor, 2)] == [5, 6]

    @tried
    async def test_a_message_that_the_log_lost_is_passed_over(self, t: BrokerTrial) -> None:
        """It is no hole in what the cursor reads: the log has none there."""
        await t.broker.publish(t.messages(range(4)))
        await t.drop(2)
        cursor = await t.broker.cursor("c", t.everything, after=0)
        assert [logged.seq for logged in await read(cursor, 3)] == [1, 3, 4]

    @tried
    async def test_cursors_do_not_disturb_each_other(self, t: BrokerTrial) -> None:
        """Neither on one connection nor on two."""
        other = await t.another()
        await t.broker.publish(t.messages(range(30)))
        cursors = [await broker.cursor(name, t.everything, after=0) for broker, name in
                   ((t.broker, "a"), (t.broker, "b"), (other, "c"))]  # fmt: skip
        for cursor in cursors:
            assert [int(logged.data) for logged in await read(cursor, 10)] == list(range(10))
        for cursor in cursors:
            assert [int(logged.data) for logged in await read(cursor, 20)] == list(range(10, 30))

    @tried
    async def test_a_cursor_replaces_the_one_of_its_name(self, t: BrokerTrial) -> None:
        """The earlier one is lost, on whichever connection, and the later one begins where it is told."""
        other = await t.another()
        await t.broker.publish(t.messages(range(10)))
        first = await t.broker.cursor("c", t.everything, after=0)
        assert len(await read(first, 10)) == 10
        waiting = asyncio.ensure_future(first.next())
        await asyncio.sleep(0)
        second = await other.cursor("c", t.everything, after=3)
        with pytest.raises(CursorLost):
            await waiting
        third = await t.broker.cursor("c", [f"evt.{t.namespace}.1.>"], after=5)
        with pytest.raises(CursorLost):
            await read(second, 100)
        assert [int(logged.data) for logged in await read(third, 1)] == [5]

    @tried
    async def test_who_stops_waiting_loses_nothing(self, t: BrokerTrial) -> None:
        """Cancelled at any time, before a message is there or after."""
        await t.broker.publish(t.messages(range(40)))
        cursor = await t.broker.cursor("c", t.everything, after=0)
        found: list[Logged] = []
        for turns in range(60):
            waiting = asyncio.ensure_future(cursor.next(limit=1))
            for _ in range(turns % 7):
                await asyncio.sleep(0)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                found += await waiting
        found += await read(cursor, 40 - len(found))
        assert [logged.seq for logged in found] == list(range(1, 41))

    @tried
    async def test_an_acknowledgement_never_fails(self, t: BrokerTrial) -> None:
        """Of what was read, of what was not, twice, and of a cursor that is gone."""
        await t.broker.publish(t.messages(range(10)))
        cursor = await t.broker.cursor("c", t.everything, after=0)
        await cursor.ack(3)
        await read(cursor, 6)
        for seq in (4, 4, 2, 99):
            await cursor.ack(seq)
        assert [logged.seq for logged in await read(cursor, 4)] == [7, 8, 9, 10]
        await cursor.close()
        await cursor.ack(10)
        await cursor.close()
        with pytest.raises(CursorLost):
            await cursor.next()

    @tried
    async def test_a_cursor_that_the_broker_forgot_is_lost(self, t: BrokerTrial) -> None:
        """While it waits; its successor goes on from the place that the reader remembers."""
        await t.broker.publish(t.messages(range(3)))
        cursor = await t.broker.cursor("c", t.everything, after=0)
        await read(cursor, 3)
        waiting = asyncio.ensure_future(cursor.next())
        await asyncio.sleep(0)
        await t.forget("c")
        with pytest.raises(CursorLost):
            await waiting
        with pytest.raises(CursorLost):
            await cursor.next()
        await t.broker.publish([t.message(3)])
        cursor = await t.broker.cursor("c", t.everything, after=3)
        assert [logged.seq for logged in await cursor.next()] == [4]

    @tried
    async def test_a_cursor_does_not_outlive_the_broker(self, t: BrokerTrial) -> None:
        """It is lost when the broker leaves, and a new one reads on from any place."""
        await t.broker.publish(t.messages(range(5)))
        cursor = await t.broker.cursor("c", t.everything, after=0)
        await read(cursor, 5)
        waiting = asyncio.ensure_future(cursor.next())
        await asyncio.sleep(0)
        await t.away()
        with pytest.raises(CursorLost):
            await waiting
        await t.back()
        with pytest.raises(CursorLost):
            await cursor.next()
        cursor = await t.broker.cursor("c", t.everything, after=2)
        assert [logged.seq for logged in await read(cursor, 3)] == [3, 4, 5]

    @tried
    async def test_a_cursor_does_not_outlive_its_connection(self, t: BrokerTrial) -> None:
        """It is lost when the connection is closed."""
        other = await t.another()
        cursor = await other.cursor("c", t.everything, after=0)
        waiting = asyncio.ensure_future(cursor.next())
        await asyncio.sleep(0)
        await other.close()
        with pytest.raises(CursorLost):
            await waiting

    @tried
    async def test_a_cursor_without_a_subject_is_refused(self, t: BrokerTrial) -> None:
        """It would wait for ever, or read everything."""
        with pytest.raises(UsageError):
            await t.broker.cursor("c", [], after=0)
