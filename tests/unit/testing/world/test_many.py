"""Sums over many worlds."""

import gc

from onstage.testing.world.many import Totals, play_many
from onstage.testing.world.swarm import Fault
from onstage.testing.world.world_run import Result, World


def test_parts_add_up() -> None:
    whole, part = Totals(), Totals()
    bad = Result(7, ["I1: lost"], "x", events=5, commits=9, crashes=1)
    bad.faults[Fault.CANCELLED] = 2
    bad.faults[Fault.REORDER] = 40
    bad.marks.add("a wait timed out")
    part.add(bad)
    part.add(Result(8, events=3))
    whole.merge(part)
    whole.merge(part)
    assert (whole.seeds, whole.events, whole.crashes, whole.failed, whole.struck) == (4, 16, 2, 2, 4)
    assert whole.failures == [(7, ["I1: lost"])] * 2
    assert "a wait timed out" not in whole.cold
    assert "a sleep was over late, the node was down" in whole.cold


def test_two_processes_play_what_one_plays() -> None:
    alone, together = play_many(0, 3, 1), play_many(0, 3, 2)
    assert alone.seeds == together.seeds == 3
    assert (alone.events, alone.commits, alone.faults) == (together.events, together.commits, together.faults)


def test_each_part_is_told_with_the_sum_so_far() -> None:
    told = list[tuple[int, int]]()
    play_many(0, 2, 1, tell=lambda part, whole: told.append((part.seeds, whole.seeds)))
    assert told == [(2, 2)]


def test_worlds_that_are_over_leave_nothing_in_memory() -> None:
    play_many(0, 6, 1)
    gc.collect()
    left = sum(type(found) is World for found in gc.get_objects())
    assert left <= 1, "more than the world whose calls are still looked at"
