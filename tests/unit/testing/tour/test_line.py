"""A line with flaws: what is published has a fate, and calls fail now and then."""

import asyncio

import pytest

from onstage.brokers.embedded import EmbeddedLog
from onstage.errors import BrokerUnavailable
from onstage.events.subject import receipt_subject
from onstage.ports.broker import Message
from onstage.testing.tour.line import Fates, Line
from onstage.testing.tour.mishap import Mishap
from onstage.testing.world.swarm import Swarm
from onstage.testing.world.tape import Tape

MESSAGES = [Message(receipt_subject("onstage", n), b"", id=f"m{n}") for n in range(3)]


def always(*faults: Mishap) -> Swarm:
    swarm = Swarm(Tape(1), dict.fromkeys(faults, 1.0))
    swarm._rates = dict.fromkeys(faults, 1.0)  # noqa: SLF001
    return swarm


def test_without_faults_it_is_the_broker_itself() -> None:
    async def story() -> None:
        log = EmbeddedLog()
        line = Line(log, always())
        await line.open()
        assert await line.publish(MESSAGES) == [1, 2, 3]
        assert (await line.state()).last == 3
        assert await line.put("k", b"v", revision=0) is not None
        value = await line.get("k")
        assert value is not None
        assert value.data == b"v"
        there = await line.message(2)
        assert there is not None
        assert there.id == "m1"
        heard = []
        line.on_connected = lambda: heard.append(1)
        log.come_back()
        assert heard == [1]
        await line.close()

    asyncio.run(story())


def test_a_cut_line_says_so() -> None:
    async def story() -> None:
        line = Line(EmbeddedLog(), always(Mishap.LINE_CUT))
        with pytest.raises(BrokerUnavailable, match="the line was cut"):
            await line.state()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("fault", "answered", "count"),
    [(Mishap.LOST_ACK, False, 3), (Mishap.STORED_TWICE, True, 4), (Mishap.SWAPPED, True, 3)],
)
def test_each_fault_is_a_fate(fault: Mishap, answered: bool, count: int) -> None:
    fate = Fates(always(fault)).on_publish(MESSAGES)
    assert fate.answered is answered
    assert len(fate.stored if fate.stored is not None else range(3)) == count
    assert sorted(set(fate.stored or range(3))) == [0, 1, 2]


def test_a_lost_publish_keeps_a_part_in_order() -> None:
    fates = Fates(always(Mishap.LOST_PUBLISH))
    kept = {fates.on_publish(MESSAGES).stored for _ in range(50)}
    assert all(stored is not None and list(stored) == sorted(stored) for stored in kept)
    assert len(kept) > 2
