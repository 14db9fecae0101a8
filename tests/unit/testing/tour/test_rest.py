"""The end of a tour: it is seen when something does not end, and when something is wrong."""

from pathlib import Path

import pytest
from tests.unit.testing.tour.rested import rested, spoil

from onstage.testing.tour import rest
from onstage.testing.tour.repertory import OBSERVER
from onstage.testing.tour.rest import check_rest, come_to_rest

pytestmark = pytest.mark.filterwarnings("ignore")


def checkers(violations: list[str]) -> set[str]:
    return {what.partition(":")[0] for what in violations}


def test_what_does_not_end_is_complained_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "REST_S_MAX", 20.0)
    with rested(tmp_path) as world:
        world._starts.clear()  # noqa: SLF001
        world.end_life("bank", 1000.0)
        come_to_rest(world)
        world.end_life("post", 1000.0)
        world.swarm.is_calm = True
        monkeypatch.setattr(rest, "_rests", lambda _: False)
        come_to_rest(world)
        assert checkers(world.record.violations) == {"liveness"}


def test_an_effect_that_happened_twice_is_complained_of(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(
            world, "bank", "insert into effect (event, handler, place) select event, handler, place from effect limit 1"
        )
        check_rest(world)
        assert checkers(world.record.violations) >= {"I2"}


def test_effects_in_another_order_are_complained_of(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(world, "audit", "update effect set id = 100000 - id where handler = 'audit.watch'")
        check_rest(world)
        assert checkers(world.record.violations) == {"I4"}


def test_an_accepted_event_that_is_nowhere_is_complained_of(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(world, "shop", "delete from onstage_door where n = 1")
        check_rest(world)
        assert checkers(world.record.violations) == {"I1"}


def test_an_observer_that_made_something_up_is_found_out(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        spoil(world, OBSERVER, "update onstage_process set outcome = 'tour.cancelled' where outcome is not null")
        check_rest(world)
        assert checkers(world.record.violations) >= {"from zero"}
