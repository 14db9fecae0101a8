"""The contract of what stands beside a broker's log: the registry of values, and questions that need no log."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from onstage.errors import UsageError
from onstage.ports.broker import NobodyAnswers, Value
from onstage.testing.broker_trial import BrokerMaker, is_away, tried

if TYPE_CHECKING:
    from onstage.ports.broker import Broker
    from onstage.testing.broker_trial import BrokerTrial

__all__ = ["BrokerService"]


class BrokerService(BrokerMaker):
    """A value changes only under the eyes of who changes it; a question has one answer or none."""

    # The registry.

    @tried
    async def test_a_value_is_set_once_and_then_replaced_by_who_has_seen_it(self, t: BrokerTrial) -> None:
        """Revisions grow, and a stale one changes nothing."""
        assert await t.broker.get("topology") is None
        first = await t.broker.put("topology", b"1", revision=0)
        assert first
        assert await t.broker.put("topology", b"x", revision=0) is None
        assert await t.broker.get("topology") == Value(b"1", first)
        second = await t.broker.put("topology", b"2", revision=first)
        assert second
        assert second > first
        for stale in (0, first, second + 1):
            assert await t.broker.put("topology", b"x", revision=stale) is None
        assert await t.broker.get("topology") == Value(b"2", second)

    @tried
    async def test_a_value_that_is_not_there_has_revision_0(self, t: BrokerTrial) -> None:
        """Nothing else."""
        assert await t.broker.put("a", b"x", revision=5) is None
        assert await t.broker.get("a") is None

    @tried
    async def test_values_are_any_bytes_under_any_key(self, t: BrokerTrial) -> None:
        """Keys do not get in each other's way."""
        values = {"a": b"", "a.b": bytes(range(256)), "A/b_c=d-e": b"x" * 100_000}
        for key, data in values.items():
            assert await t.broker.put(key, data, revision=0)
        for key, data in values.items():
            value = await t.broker.get(key)
            assert value is not None
            assert value.data == data

    @tried
    async def test_a_key_that_would_be_a_pattern_is_refused(self, t: BrokerTrial) -> None:
        """So is one that is empty or too long."""
        for key in ("", "a.", "*", ">", "a b", "ä", "x" * 201):
            with pytest.raises(UsageError):
                await t.broker.get(key)
            with pytest.raises(UsageError):
                await t.broker.put(key, b"", revision=0)

    @tried
    async def test_of_those_who_set_a_value_at_once_one_succeeds(self, t: BrokerTrial) -> None:
        """So a counter counts each of them."""
        brokers = [t.broker, await t.another(), await t.another()]

        async def count(broker: Broker) -> int:
            value = await t.broker.get("n")
            seen = int(value.data) if value else 0
            done = await broker.put("n", b"%d" % (seen + 1), revision=value.revision if value else 0)
            return int(done is not None)

        successes = 0
        for _ in range(10):
            successes += sum(await asyncio.gather(*map(count, brokers)))
        value = await t.broker.get("n")
        assert value is not None
        assert int(value.data) == successes >= 10

    # Questions.

    @tried
    async def test_who_serves_a_subject_answers(self, t: BrokerTrial) -> None:
        """On its own connection and on others, many at once."""
        other = await t.another()

        async def double(data: bytes) -> bytes:
            await asyncio.sleep(0)
            return data + data

        await t.broker.serve(f"ask.{t.namespace}", double)
        questions = [b"%d" % n for n in range(50)] + [b""]
        answers = await asyncio.gather(*(other.ask(f"ask.{t.namespace}", each, timeout_s=5) for each in questions))
        assert answers == [each + each for each in questions]
        assert await t.broker.ask(f"ask.{t.namespace}", b"a", timeout_s=5) == b"aa"

    @tried
    async def test_who_asks_nobody_hears_so(self, t: BrokerTrial) -> None:
        """Nobody serves it, nobody does in time, and an answer that fails is none."""
        subject = f"ask.{t.namespace}"
        with pytest.raises(NobodyAnswers):
            await t.broker.ask(subject, b"", timeout_s=5)

        async def never(data: bytes) -> bytes:
            if data:
                raise ValueError("no")
            await asyncio.Event().wait()
            return b""

        await t.broker.serve(subject, never)
        for data in (b"", b"x"):
            with pytest.raises(NobodyAnswers):
                await t.broker.ask(subject, data, timeout_s=0.1)

    @tried
    async def test_of_several_servers_one_gets_each_question(self, t: BrokerTrial) -> None:
        """And those that are left get all, once one is gone."""
        subject, asked = f"ask.{t.namespace}", [0, 0]
        brokers = [await t.another(), await t.another()]

        async def answer(place: int, data: bytes) -> bytes:
            asked[place] += 1
            return b"%d%b" % (place, data)

        for place, broker in enumerate(brokers):
            await broker.serve(subject, partial(answer, place))
            await broker.state()  # an answer: the broker has heard of what came before
        for _ in range(40):
            await t.broker.ask(subject, b"", timeout_s=5)
        assert sum(asked) == 40
        assert min(asked) > 0
        await brokers[0].close()
        assert {await t.broker.ask(subject, b"", timeout_s=5) for _ in range(5)} == {b"1"}

    @tried
    async def test_what_was_served_is_served_again_when_the_broker_is_back(self, t: BrokerTrial) -> None:
        """Without being told to."""

        async def echo(data: bytes) -> bytes:
            return data

        await t.broker.serve(f"ask.{t.namespace}", echo)
        await t.away()
        assert await is_away(t.broker.ask(f"ask.{t.namespace}", b"a", timeout_s=1))
        await t.back()
        assert await t.broker.ask(f"ask.{t.namespace}", b"b", timeout_s=5) == b"b"
