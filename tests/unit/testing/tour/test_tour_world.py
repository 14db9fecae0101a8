"""A tour: several loops on one time, and what strikes the log."""

import asyncio
from pathlib import Path

from tests.unit.testing.tour.rested import rested

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.events.subject import receipt_subject
from onstage.ports.broker import Message
from onstage.runtime.marks import ID
from onstage.testing.tour.repertory import OBSERVER, SERVICES
from onstage.testing.tour.tour_world import TourWorld, droppable, gates


def test_all_lives_have_one_time(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        now_s = world.now_s
        world.run_to(now_s + 20)
        assert world.now_s == now_s + 20
        assert set(world.members) == {*SERVICES, OBSERVER}
        assert all(now_s <= member.loop.time() <= world.now_s for member in world.members.values())


def test_a_killed_life_is_followed_by_another_on_its_file(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        before, events = world.members["bank"], world.rows("bank", "select count(*) from onstage_event")
        world.end_life("bank", 3.0)
        world.run_to(world.now_s + 2)
        assert "bank" not in world.members
        world.run_to(world.now_s + 2)
        assert world.members["bank"] is not before
        assert world.members["bank"].is_up
        assert world.rows("bank", "select count(*) from onstage_event") == events


def test_an_observer_thrown_away_leaves_its_file(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        before = world.path(OBSERVER)
        events = world.rows(OBSERVER, "select count(*) from onstage_event")
        world.new_observer()
        assert world.path(OBSERVER) != before
        assert world.rows(OBSERVER, "select 1") == []
        world.run_to(world.now_s + 10)
        assert world.rows(OBSERVER, "select count(*) from onstage_event") == events


def test_a_verdict_that_is_not_true_is_complained_of(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        world._check_end("1")  # noqa: SLF001
        assert world.record.violations == []
        world._gates["audit"]["tour.rang"] = world._gates["audit"]["tour.booked"] = ["audit.nobody"]  # noqa: SLF001
        world._check_end("1")  # noqa: SLF001
        assert world.record.violations[0].startswith("premature")


def test_what_stands_may_be_dropped() -> None:
    async def story() -> list[int]:
        log = EmbeddedLog()
        broker = EmbeddedBroker(log)
        await broker.open()
        subject = receipt_subject("onstage", 1)
        for name in ("a-1-r1-1", "a-1-r1-2", "b-1-r1-1", "a-2-r1-1"):
            await broker.publish([Message(subject, b"", {ID: name})])
        log.drop(2)
        return droppable(log)

    assert asyncio.run(story()) == [1, 3, 4]


def test_each_event_obliges_who_hears_it() -> None:
    everybody, gating = gates(gating_only=False), gates(gating_only=True)
    assert everybody["audit"]["tour.shipped"] == ["audit.note", "audit.watch"]
    assert gating["audit"]["tour.shipped"] == []
    assert gating["bank"]["tour.parted"] == ["bank.weigh"]


def test_a_tape_repeats_a_world(tmp_path: Path) -> None:
    with rested(tmp_path, 5, dull=False) as world:
        tape, trace = world.tape.values(), world.record.trace_hash
    again = TourWorld(5, tmp_path / "again", tape)
    (tmp_path / "again").mkdir()
    again.storm()
    again.close()
    assert again.tape.values().keys() <= tape.keys()
    assert trace
