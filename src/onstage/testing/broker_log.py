"""The contract of a broker's log: what is published is there, once and in order, and answers are not guesses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from onstage.errors import UsageError
from onstage.ports.broker import Message
from onstage.testing.broker_trial import BrokerMaker, is_away, tried
from onstage.testing.store_trial import NotAsked

if TYPE_CHECKING:
    from onstage.testing.broker_trial import BrokerTrial

__all__ = ["BrokerLog"]


class BrokerLog(BrokerMaker):
    """Messages go in in their order; a number that was answered holds that very message."""

    @tried
    async def test_an_empty_log_says_so(self, t: BrokerTrial) -> None:
        """`last` is before `first`, and nothing is at any number."""
        state = await t.broker.state()
        assert (state.last, state.first) == (0, 1)
        assert [await t.broker.message(seq) for seq in (0, 1, 7)] == [None, None, None]
        assert await t.broker.publish([]) == []

    @tried
    async def test_a_message_is_read_as_it_was_published(self, t: BrokerTrial) -> None:
        """Subject, bytes, headers and id; none of them has to be there but the subject."""
        sent = [
            Message(f"evt.{t.namespace}.63.a.b-c", bytes(range(256)), {"ce-id": "1", "x": "100%25"}, "id-1"),
            Message(f"rcpt.{t.namespace}.0", b""),
            Message(f"ctl.{t.namespace}.payment", b"x" * 300_000, {}, "id-2"),
        ]
        seqs = await t.broker.publish(sent)
        for seq, message in zip(seqs, sent, strict=True):
            logged = await t.broker.message(seq)
            assert logged is not None
            assert (logged.seq, logged.subject, logged.data) == (seq, message.subject, message.data)
            assert (logged.headers, logged.id) == (message.headers, message.id)

    @tried
    async def test_messages_stand_in_the_order_in_which_they_were_published(self, t: BrokerTrial) -> None:
        """In one call, however many they are, and over calls."""
        seqs = await t.broker.publish(t.messages(range(1500)))
        seqs += await t.broker.publish([t.message(1500)])
        assert seqs == list(range(1, 1502))
        for n in (0, 1, 999, 1000, 1499, 1500):
            logged = await t.broker.message(seqs[n])
            assert logged is not None
            assert logged.data == b"%d" % n

    @tried
    async def test_all_connections_see_one_log(self, t: BrokerTrial) -> None:
        """The identity is that of the log."""
        other = await t.another()
        assert await t.broker.publish([t.message(1)]) == [1]
        assert await other.publish([t.message(2)]) == [2]
        assert await other.state() == await t.broker.state()
        assert (await other.message(1), (await other.state()).last) == (await t.broker.message(1), 2)

    @tried
    async def test_publishers_side_by_side_each_keep_their_order(self, t: BrokerTrial) -> None:
        """Whatever stands between."""
        other = await t.another()
        await asyncio.gather(
            *(t.broker.publish(t.messages(range(n, n + 30))) for n in (0, 100)),
            other.publish(t.messages(range(200, 230))),
        )
        there = [int(logged.data) for logged in await t.log()]
        for start in (0, 100, 200):
            assert [n for n in there if start <= n < start + 100] == list(range(start, start + 30))

    # The same again.

    @tried
    async def test_the_same_messages_again_are_not_doubled(self, t: BrokerTrial) -> None:
        """They are answered with the numbers that they have."""
        self._ask_for_ids(t)
        seqs = await t.broker.publish(t.messages(range(250)))
        other = await t.another()
        assert await other.publish(t.messages(range(250))) == seqs
        assert await t.broker.publish([t.message(7)]) == [seqs[7]]
        assert (await t.broker.state()).last == 250

    @tried
    async def test_another_cut_of_the_same_messages_loses_and_doubles_nothing(self, t: BrokerTrial) -> None:
        """Some of them there, some not, in any order of the two."""
        self._ask_for_ids(t)
        await t.broker.publish(t.messages(range(10)))
        await t.broker.publish(t.messages(range(15, 18)))
        seqs = await t.broker.publish(t.messages(range(5, 25)))
        there = {logged.seq: int(logged.data) for logged in await t.log()}
        assert [there[seq] for seq in seqs] == list(range(5, 25))
        assert sorted(there.values()) == list(range(25))
        new = [n for n in there.values() if n not in {*range(10), *range(15, 18)}]
        assert new == sorted(new)

    @tried
    async def test_an_id_twice_in_one_call_is_one_message(self, t: BrokerTrial) -> None:
        """Both are answered with its number."""
        self._ask_for_ids(t)
        assert await t.broker.publish([t.message(1), t.message(2), t.message(1), t.message(3)]) == [1, 2, 1, 3]

    @tried
    async def test_messages_without_an_id_are_never_taken_for_each_other(self, t: BrokerTrial) -> None:
        """Equal or not."""
        plain = t.message(1, id="")
        assert await t.broker.publish([plain, plain]) == [1, 2]
        assert await t.broker.publish([plain]) == [3]

    @tried
    async def test_an_id_that_is_remembered_proves_nothing(self, t: BrokerTrial) -> None:
        """A message that the log has lost is stored again, though its id is known, and has its id."""
        self._ask_for_ids(t)
        await t.broker.publish(t.messages(range(3)))
        await t.drop(2)
        assert await t.broker.message(2) is None
        seqs = await t.broker.publish(t.messages(range(3)))
        assert seqs == [1, 4, 3]
        again = await t.broker.message(4)
        assert again is not None
        assert (again.data, again.id) == (b"1", "id-1")
        assert await t.broker.publish(t.messages(range(3))) == seqs

    @tried
    async def test_messages_that_are_gone_are_counted(self, t: BrokerTrial) -> None:
        """Those between the first and the last that are there; what went with the beginning is not between them."""
        await t.broker.publish(t.messages(range(5)))
        assert (await t.broker.state()).holes == 0
        await t.drop(3)
        await t.drop(2)
        state = await t.broker.state()
        assert (state.first, state.last, state.holes) == (1, 5, 2)
        await t.drop(1)
        state = await t.broker.state()
        assert (state.first, state.last, state.holes) == (4, 5, 0)

    def _ask_for_ids(self, t: BrokerTrial) -> None:
        if not t.broker.features.refuses_duplicates:
            raise NotAsked

    # What is refused, and what is not known.

    @tried
    async def test_a_subject_of_another_log_is_refused(self, t: BrokerTrial) -> None:
        """And nothing that came with it is stored."""
        for subject in ("", "evt", "evt.other.1.a", f"evt.{t.namespace}.1.*", f"evt.{t.namespace}.", "$JS.API.INFO"):
            with pytest.raises(UsageError):
                await t.broker.publish([t.message(1), Message(subject, b"")])
        assert (await t.broker.state()).last == 0

    @tried
    async def test_a_broker_that_left_says_so_and_mends_itself(self, t: BrokerTrial) -> None:
        """Every call raises BrokerUnavailable; afterwards all is there, and nothing twice."""
        await t.broker.publish(t.messages(range(5)))
        await t.broker.put("a", b"1", revision=0)
        identity = (await t.broker.state()).identity
        await t.away()
        assert (t.broker.trouble or "").count("\n") == 2
        for attempt in (
            t.broker.state(),
            t.broker.message(1),
            t.broker.publish(t.messages(range(3, 8))),
            t.broker.cursor("c", t.everything, after=0),
            t.broker.get("a"),
            t.broker.put("a", b"2", revision=1),
            t.broker.ask("q.a", b"", timeout_s=1),
        ):
            assert await is_away(attempt)
        await t.back()
        assert t.broker.trouble is None
        assert (await t.broker.state()).identity == identity
        await t.broker.publish(t.messages(range(3, 8)))
        if t.broker.features.refuses_duplicates:
            assert [int(logged.data) for logged in await t.log()] == list(range(8))
        value = await t.broker.get("a")
        assert value is not None
        assert value.data == b"1"

    @tried
    async def test_a_broker_that_leaves_again_and_again_comes_back_each_time(self, t: BrokerTrial) -> None:
        """For ever."""
        for n in range(3):
            await t.away()
            await t.back()
            assert await t.broker.publish([t.message(n)]) == [n + 1]

    @tried
    async def test_a_broker_that_is_not_there_cannot_be_opened(self, t: BrokerTrial) -> None:
        """It can be opened later, and a closed one as well."""
        late = self.connect(t.namespace)
        await t.away()
        assert await is_away(late.open())
        await t.back()
        await late.open()
        await late.open()
        assert (await late.state()).last == 0
        await late.close()
        await late.close()
        assert await is_away(late.state())
        await late.open()
        assert await late.publish([t.message(1)]) == [1]
        await late.close()
