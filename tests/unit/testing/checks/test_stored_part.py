"""A store by public ids: the same event has the same name and cause wherever it stands."""

from pathlib import Path

from tests.unit.testing.tour.rested import parts_of, rested, watching_of

from onstage.testing.checks.stored_part import process_in
from onstage.testing.tour.repertory import OBSERVER


def test_an_event_is_the_same_in_every_store(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        parts, watching = parts_of(world), watching_of(world)
        assert watching.own == frozenset()
        assert sum(len(part.own) for part in parts.values()) == len(watching.events)
        for part in parts.values():
            for wire, event in part.events.items():
                assert watching.events[wire] == event
        causes = {event.type: event.cause for event in watching.events.values() if event.cause is not None}
        assert causes["tour.packed"][1] == "post.pack"
        assert watching.events[causes["tour.packed"][0]].type == "tour.parted"


def test_obligations_and_processes_have_public_names(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        parts, watching = parts_of(world), watching_of(world)
        assert {execution for part in parts.values() for execution in part.executions} == set(watching.executions)
        assert set(parts["shop"].digests) <= set(watching.digests)
        assert set(watching.public_rows) == {"events", "obligations", "processes"}


def test_one_process_is_read_alone(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        watching = watching_of(world)
        for process in watching.processes.values():
            part = process_in(world.reader_of(OBSERVER), process)
            assert set(part.events) == {wire for wire, event in watching.events.items() if event.process == process}
            for wire, (_, cause) in part.events.items():
                known = watching.events[wire].cause
                assert cause == (known and known[0])
            assert all(watching.executions[execution] == status for execution, status in part.executions.items())
        assert process_in(world.reader_of(OBSERVER), "nothing").events == {}
