"""A life on a tour: it starts on its loop, and leaves nothing running when it is gone."""

from pathlib import Path

from tests.unit.testing.tour.rested import rested

from onstage.testing.tour.repertory import OBSERVER


def test_a_node_hosts_one_service_and_the_observer_none(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        bank, observer = world.members["bank"], world.members[OBSERVER]
        assert bank.node is not None
        assert bank.node.hosted == {"bank"}
        assert bank.observatory is None
        assert observer.node is None
        assert observer.observatory is not None
        assert bank.is_quiet
        assert bank.failure is None


def test_a_life_that_is_gone_writes_nothing_more(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        bank = world.members["bank"]
        world.end_life("bank", 0.0)
        assert bank.loop.is_dead
        assert not bank.is_up
        assert world.log.trouble is None
        assert "bank" not in world.members
        world.run_to(world.now_s + 2)
        assert world.members["bank"].is_up
