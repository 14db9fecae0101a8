"""Lives of a node: they end in kills, and a dead writer that goes on is refused."""

import gc
from pathlib import Path
from weakref import ref

from onstage.testing.world.kept_file import KeptFile
from onstage.testing.world.playing import play
from onstage.testing.world.swarm import CRASHES
from onstage.testing.world.world_run import World


def test_kills_are_crashes_and_the_world_goes_on() -> None:
    results = [play(seed) for seed in range(10)]
    struck = sum(result.faults[fault] for result in results for fault in CRASHES)
    crashes = sum(result.crashes for result in results)
    assert 0 < crashes <= struck
    assert all(result.violations == [] for result in results)


def seen_in(seeds: range, *marks: str) -> bool:
    """Whether all of these situations occur in some of these worlds; plays no more of them than it takes."""
    missing = set(marks)
    return any(not (missing := missing - play(seed).marks) for seed in seeds)


def test_a_writer_that_goes_on_after_its_death_is_refused() -> None:
    assert seen_in(range(60), "a commit of a stale epoch was refused")


def test_commits_of_unknown_outcome_are_looked_up() -> None:
    doubt = "a commit of unknown outcome"
    assert seen_in(range(60), f"{doubt} had happened", f"{doubt} had not happened")


def test_a_slow_door_lets_two_clients_with_one_id_pass_each_other() -> None:
    assert seen_in(range(60), "a duplicate was found by the writer")


def test_two_operators_at_once_are_told_apart_by_the_store() -> None:
    assert seen_in(range(60), "a commit conflicted")


def test_the_parts_of_a_node_are_gone_with_its_world_without_the_collector(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "kept.db")
    world = World(1, tmp_path / "world", kept)
    gc.disable()
    try:
        world.storm()
        node = world.life.node
        parts = [ref(part) for part in (node.admission, node.mailbox, node.watch)]
        del node
        assert all(part() is not None for part in parts)
        world.close()
        assert [part() for part in parts] == [None] * 3
    finally:
        gc.enable()
    assert kept.lent == 0
    kept.close()
