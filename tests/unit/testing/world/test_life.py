"""Lives of a node: they end in kills, and a dead writer that goes on is refused."""

from onstage.testing.world.swarm import CRASHES, Fault
from onstage.testing.world.world_run import play


def test_kills_are_crashes_and_the_world_goes_on() -> None:
    results = [play(seed) for seed in range(10)]
    struck = sum(result.faults[fault] for result in results for fault in CRASHES)
    crashes = sum(result.crashes for result in results)
    assert 0 < crashes <= struck
    assert all(result.violations == [] for result in results)


def test_a_writer_that_goes_on_after_its_death_is_refused() -> None:
    results = [play(seed) for seed in range(60)]
    assert sum(result.faults[Fault.ZOMBIE] for result in results) > 10
    assert any("a commit of a stale epoch was refused" in result.marks for result in results)


def test_commits_of_unknown_outcome_are_looked_up() -> None:
    marks = {mark for seed in range(40) for mark in play(seed).marks}
    assert "a commit of unknown outcome had happened" in marks
    assert "a commit of unknown outcome had not happened" in marks
