"""The engine on SQLite undoes 600 random processes, in worlds with crashes: each step once, after all it led to."""

import pytest
from tests.processes.undone_engine import EACH, Tally, judged, play_many
from tests.processes.undone_town import ANCESTORS

WORLDS = 60


@pytest.fixture(scope="module")
def tally() -> Tally:
    return play_many(0, WORLDS)


def test_each_step_is_undone_after_all_that_it_led_to_and_nothing_is_left(
    tally: Tally, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{tally}")
    assert tally.wrong == []
    assert tally.processes == WORLDS * EACH
    assert tally.steps > 5 * tally.processes
    assert tally.kills > WORLDS
    assert tally.torn > WORLDS
    assert tally.left > WORLDS / 2


def test_a_handful_of_worlds_is_as_all_are() -> None:
    few = play_many(1_000, 6)
    assert few.wrong == []
    assert few.steps > few.processes == 6 * EACH


def test_processes_end_in_every_way_before_they_are_undone_on_request(tally: Tally) -> None:
    assert set(tally.verdicts) == {"compensated", "dead end", "completed"}
    assert min(tally.verdicts.values()) > WORLDS / 4


def test_what_a_wave_must_not_do_is_seen() -> None:
    ANCESTORS.update({"a": set(), "b": {"a"}})
    assert judged([("+", "a"), ("+", "b"), ("-", "b"), ("-", "a")]) == []
    assert judged([("+", "a"), ("+", "b"), ("-", "a"), ("-", "b")]) == ["a was undone before b, to which it had led"]
    assert judged([("+", "a"), ("-", "a"), ("+", "b"), ("-", "b")])[0] == (
        "b was done after a was undone, which had led to it"
    )
    assert judged([("+", "a"), ("+", "b"), ("-", "b")]) == ["a was not undone"]
