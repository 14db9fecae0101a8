"""The ledger against a simulator that knows everything: 18,000 random processes, no premature and no missing end."""

import pytest
from tests.processes.folding import Figures, PlainCounter, fold_many
from tests.processes.story import story_of

PARTS = 6
COUNT = 18_000 // PARTS
KINDS = {
    *("answer", "answered", "crash after", "crash before", "diverged", "earliest", "extra", "join", "not gating"),
    *("own consequence", "parked", "race", "retired", "retrying", "running", "segment", "timeout", "waiting"),
}


@pytest.fixture(scope="module", params=range(PARTS))
def figures(request: pytest.FixtureRequest) -> Figures:
    return fold_many(request.param * COUNT, COUNT)


def test_no_end_is_said_early_and_none_is_missed(figures: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{figures}")
    assert figures.wrong == []
    assert figures.processes == COUNT
    assert COUNT * 0.8 < figures.complete < COUNT, "most processes end, and some do not"


def test_a_fold_that_was_killed_again_and_again_has_the_rows_of_one_that_was_not(figures: Figures) -> None:
    assert figures.deaths > COUNT / 4
    assert figures.differing == 0
    assert figures.deliveries > figures.receipts * 1.2


def test_every_kind_of_thing_happens_often(figures: Figures) -> None:
    assert {kind for kind, count in figures.kinds.items() if count >= COUNT / 100} == KINDS


def test_a_plain_counter_is_found() -> None:
    counted = fold_many(0, 1_000, PlainCounter)
    assert counted.premature > 20
    assert "python -m tests.processes --first" in counted.wrong[0]


def test_a_seed_is_the_same_story_each_time() -> None:
    assert story_of(7) == story_of(7)
    assert story_of(7) != story_of(8)
