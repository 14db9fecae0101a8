"""The checks between stores: silent on what is right, and each complains of what it is for."""

from pathlib import Path

from tests.unit.testing.tour.rested import parts_of, rested, spoil, watching_of

from onstage.testing.checks.across_stores import (
    differing,
    known_twice,
    not_arrived,
    out_of_balance,
    too_early,
    unknown_to,
)
from onstage.testing.tour.repertory import OBSERVER, SERVICES
from onstage.testing.tour.tour_world import TourWorld, gates

FIRST = "id = (select min(id) from onstage_execution)"
LAST = "id = (select max(id) from onstage_execution)"


def early(world: TourWorld, process: str) -> str | None:
    readers = {service: world.reader_of(service) for service in SERVICES}
    return too_early(readers, world.reader_of(OBSERVER), process, gates(gating_only=True))


def test_a_tour_at_rest_is_in_order(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        parts, watching = parts_of(world), watching_of(world)
        assert len(watching.events) > 10
        assert [*not_arrived(parts, gates(gating_only=False))] == []
        assert [what for part in (*parts.values(), watching) for what in known_twice(part)] == []
        assert [*out_of_balance(parts, watching)] == []
        assert [*unknown_to(watching, parts)] == []
        assert {early(world, process) for process in watching.processes.values()} == {None}


def test_what_never_came_is_missed(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(world, "bank", f"delete from onstage_execution where {FIRST}")  # noqa: S608
        (missing,) = not_arrived(parts_of(world), gates(gating_only=False))
        assert missing.startswith("bank never got")
        found = {early(world, process) for process in watching_of(world).processes.values()}
        assert any(what is not None and "has not got" in what for what in found)


def test_what_is_still_open_is_seen(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(
            world, "post", "update onstage_execution set status = 2 where id in (select max(id) from onstage_execution)"
        )
        (still,) = not_arrived(parts_of(world), gates(gating_only=False))
        assert "is still waiting in post" in still
        assert any("is waiting" in (early(world, p) or "") for p in watching_of(world).processes.values())
        assert any("the observer has 6" in what for what in unknown_to(watching_of(world), parts_of(world)))


def test_an_event_from_outside_that_nobody_can_have_read_is_not_premature(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(world, OBSERVER, "delete from onstage_event where cause = 0")
        spoil(
            world, "shop", "update onstage_execution set status = 0 where id = (select min(id) from onstage_execution)"
        )
        assert {early(world, process) for process in watching_of(world).processes.values()} == {None}


def test_one_thing_under_two_numbers_is_noticed(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(
            world,
            "bank",
            "insert into onstage_process select id + 100000, wire_id, declared, key, digest, open, outcome, started,"
            " ended, undoable, asked from onstage_process limit 1",
        )
        (twice,) = known_twice(parts_of(world)["bank"])
        assert "has 2 numbers" in twice


def test_parts_that_do_not_add_up_are_noticed(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(
            world,
            "post",
            "update onstage_process set digest = randomblob(16) where id in (select min(id) from onstage_process)",
        )
        (wrong,) = out_of_balance(parts_of(world), watching_of(world))
        assert "its parts add up to" in wrong
        spoil(world, OBSERVER, "update onstage_process set open = 1 where id = 1")
        assert any("the observer has 1 open" in what for what in out_of_balance(parts_of(world), watching_of(world)))


def test_what_an_observer_does_not_know_or_knows_otherwise_is_noticed(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        before = watching_of(world).public_rows
        spoil(world, OBSERVER, "update onstage_event set data = '{}' where n = 1")
        assert len([*unknown_to(watching_of(world), parts_of(world))]) == 1
        (changed,) = differing(before, watching_of(world).public_rows)
        assert changed.startswith("events: ")
        assert [*differing(before, before)] == []
