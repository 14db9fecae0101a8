"""Processes are undone: 6,000 random ones, in one part or several, against a simulator that knows what caused what."""

import pytest
from tests.processes.waves import Figures, World, play_many

COUNT = 6_000
KINDS = {
    *("1 parts", "2 parts", "3 parts", "4 parts", "aborted again", "crash", "decided by an outcome", "in doubt"),
    *("overtaken", "pivot", "residue", "stopped", "tombstone", "took", "undone on request"),
}
BROKEN = {
    "no tombstone": "ran after its tombstone",
    "early": "was undone before",
    "by execution": "has not come to its end",
    "doubt": "was undone 0 times",
}


@pytest.fixture(scope="module")
def figures() -> Figures:
    return play_many(0, COUNT)


def test_each_step_is_undone_once_and_after_all_that_it_caused(
    figures: Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{figures}")
    assert figures.wrong == []
    assert figures.processes == COUNT
    assert figures.undos > COUNT


def test_two_messages_go_over_each_edge_that_leads_to_another_part(figures: Figures) -> None:
    assert figures.edges > COUNT
    assert 1.8 < figures.messages / figures.edges <= 2.2


def test_every_kind_of_thing_happens_often(figures: Figures) -> None:
    assert {kind for kind, count in figures.kinds.items() if count >= COUNT / 50} == KINDS


@pytest.mark.parametrize("broken", BROKEN)
def test_a_wave_that_lacks_one_rule_is_found(broken: str) -> None:
    wrong = play_many(0, 300, broken).wrong
    assert any(BROKEN[broken] in what for what in wrong)


def test_a_seed_is_the_same_process_each_time() -> None:
    first, again = World(7).play(), World(7).play()
    assert (first.undo_order, first.messages, first.kinds) == (again.undo_order, again.messages, again.kinds)
    assert World(8).play().kinds != first.kinds
