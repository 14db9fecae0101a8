"""2,000 random processes through the engine on SQLite, and bugs planted in it that must be found by them."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from tests.planted import process_bugs
from tests.processes.engine import EACH, play_many

WORLDS = 2_000 // EACH
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Failures of handlers are planned, and nothing to read."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


SLICES = 10
PLANTED = (
    process_bugs.output_without_token,
    process_bugs.obligation_left_out,
    process_bugs.settled_before_its_outputs,
)


@pytest.mark.parametrize("part", range(SLICES))
def test_the_engine_says_no_end_early_and_misses_none(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    worlds = WORLDS // SLICES
    tally = play_many(part * worlds, worlds)
    with capsys.disabled():
        print(f"\n{tally}")
    assert tally.wrong == []
    assert tally.processes == worlds * EACH
    assert tally.looks > 50 * tally.processes, "the rows are looked at after each batch"
    assert tally.kills > 5 * worlds
    assert tally.executions > 5 * tally.processes
    assert tally.statuses.keys() >= {"DONE", "REJECTED", "WRITTEN_OFF"}


@pytest.mark.parametrize(
    "plant",
    PLANTED,
)
def test_a_planted_bug_is_found_in_the_first_world(plant: Any, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    found = play_many(1, 1)
    assert found.wrong
    assert "python -m tests.processes --engine --first 1 --count 20" in found.wrong[0]
