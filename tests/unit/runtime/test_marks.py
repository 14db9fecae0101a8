"""Marks: whether a message that is remembered still stands in the log."""

import asyncio
from itertools import pairwise

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.core.commit import Note
from onstage.events.subject import receipt_subject
from onstage.ports.broker import Message
from onstage.runtime.marks import ID, MARKS_KEPT, KeptMarks, Mark, decode_mark, encode_mark, newest_standing, stands


async def filled(count: int) -> tuple[EmbeddedLog, EmbeddedBroker, list[Note]]:
    log = EmbeddedLog()
    broker = EmbeddedBroker(log)
    await broker.open()
    await publish(broker, range(1, count + 1))
    marks = [Note("place", n, encode_mark(Mark(log.identity, n, f"m{n}"))) for n in range(1, count + 1)]
    return log, broker, marks[::-1]


async def publish(broker: EmbeddedBroker, names: range, kind: str = "m") -> None:
    subject = receipt_subject(broker.namespace, 0)
    await broker.publish([Message(subject, b"", {ID: f"{kind}{n}"}) for n in names])


def test_the_newest_mark_stands_in_a_whole_log() -> None:
    async def story() -> None:
        _, broker, notes = await filled(3)
        standing, state = await newest_standing(broker, notes)
        assert standing == notes[0]
        assert state.last == 3

    asyncio.run(story())


def test_another_message_under_the_same_number_does_not_stand() -> None:
    async def story() -> None:
        log, broker, notes = await filled(3)
        log.truncate(1)
        await publish(broker, range(2, 6), "other")
        standing, _ = await newest_standing(broker, notes)
        assert standing is not None
        assert decode_mark(standing).id == "m1"

    asyncio.run(story())


def test_nothing_stands_in_a_log_that_was_made_anew() -> None:
    async def story() -> None:
        log, broker, notes = await filled(3)
        log.begin_anew()
        await publish(broker, range(1, 4))
        assert (await newest_standing(broker, notes))[0] is None

    asyncio.run(story())


def test_what_went_with_the_beginning_stands() -> None:
    async def story() -> None:
        log, broker, notes = await filled(3)
        log.drop(1)
        log.drop(2)
        state = log.state()
        assert state.first == 3
        assert await stands(broker, state, decode_mark(notes[-1]))
        assert not await stands(broker, state, Mark(log.identity, 4, "m4"))
        assert await stands(broker, state, Mark("", 0, ""))

    asyncio.run(story())


def test_marks_reach_back_to_the_first_and_are_dense_where_they_are_new() -> None:
    marks, kept = KeptMarks(), list[int]()
    for number in range(1, 50_001):
        gone = set(marks.dropped())
        kept = [each for each in kept if each not in gone]
        marks.add(number)
        kept.append(number)
        assert len(kept) <= MARKS_KEPT
    assert kept[0] == 1
    assert kept[-(MARKS_KEPT // 2) :] == list(range(50_001 - MARKS_KEPT // 2, 50_001))
    ages = [(50_001 - older, newer - older) for older, newer in pairwise(kept)]
    assert all(gap <= max(1, age) for age, gap in ages), "going back costs at most twice what was lost"


def test_marks_that_were_gone_back_behind_are_counted_no_more() -> None:
    marks = KeptMarks(range(1, MARKS_KEPT + 1))
    assert list(marks.dropped()) == list(range(2, MARKS_KEPT // 2 + 1, 2))
    marks.go_back(MARKS_KEPT - 1)
    assert list(marks.dropped()) == []
