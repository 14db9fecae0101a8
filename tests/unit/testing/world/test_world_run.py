"""Worlds: the same seed twice is the same world, a tape is too, and nothing is wrong in the first ones."""

from collections import Counter

import pytest

from onstage.testing.world.playing import play
from onstage.testing.world.swarm import CRASHES, Fault
from onstage.testing.world.world_run import Result

SEEDS = range(12)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [play(seed) for seed in SEEDS]


def test_nothing_is_wrong(results: list[Result]) -> None:
    assert [what for result in results for what in result.violations] == []


def test_the_same_seed_gives_the_same_world(results: list[Result]) -> None:
    again = [play(seed).trace_hash for seed in SEEDS]
    assert again == [result.trace_hash for result in results]
    assert len(set(again)) == len(SEEDS)


def test_the_tape_of_a_world_gives_the_same_world(results: list[Result]) -> None:
    for result in results[:6]:
        assert play(result.seed, result.tape).trace_hash == result.trace_hash


def test_worlds_are_full_of_events_crashes_and_faults(results: list[Result]) -> None:
    faults = sum((result.faults for result in results), Counter[Fault]())
    assert sum(result.events for result in results) > 15 * len(SEEDS)
    assert sum(result.crashes for result in results) > 2 * len(SEEDS)
    assert len(faults) > 20
    assert any(faults[crash] for crash in CRASHES)


def test_the_dullest_world_has_events_and_no_fault() -> None:
    result = play(5, {})
    assert result.violations == []
    assert result.events > 5
    assert (result.crashes, sum(result.faults.values())) == (0, 0)
