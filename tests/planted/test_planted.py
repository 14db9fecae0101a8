"""The quickest of the planted bugs are found, each by its checker; `python -m tests.planted` hunts all."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.planted.__main__ import main
from tests.planted.bugs import BUGS, IN_OTHER_SUITES
from tests.planted.hunt import hunt, run_test

SEEDS_MAX = 60
QUICK = {
    "barrier-skipped": "barrier",
    "answer-before-commit": "I10",
    "no-lanes": "I4",
    "payload-not-compared": "I10",
    "unknown-outcome-repeated": "I12",
    "seq-drawn-by-a-lost-batch": "I12",
    "handler-left-out": "I1",
    "transaction-outside-the-batch": "I2",
    "waiting-called-completed": "I7",
    "result-recorded-twice": "I8",
    "key-shared": "I3",
    "undo-forwards": "I6",
    "timeouts-early": "I8",
    "replay-skips-an-entry": "I13",
    "listeners-stay": "I15",
    "recovery-gives-up": "liveness",
}
TOUR_SEEDS_MAX = 15
QUICK_ON_TOUR = {
    "duplicate-believed": "I1",
    "mark-before-acknowledgement": "I1",
    "place-not-verified": "I1",
    "gaps-ignored": "I4",
    "registry-not-put-back": "observer",
}
INVARIANTS = {f"I{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 15)} | {"barrier", "liveness"}
IN_PLAYS = {
    "answers", "branches", "changes", "counts", "delays", "flow", "forks", "gatherings", "histories", "intake", "long",
    "offload", "pauses", "schedules", "seal", "state", "watches", "workflows",
}  # fmt: skip
"""Checkers of what only some worlds play."""

# A bug for each checker that no other checker finds, and worlds that show it: the first one, and how many.
ALONE = [
    ("barrier", "barrier-skipped", 0, 3),
    ("I1", "handler-left-out", 0, 4),
    ("I2", "transaction-rolled-back", 0, 4),
    ("I3", "key-shared", 0, 4),
    ("I4", "recovery-backwards", 0, 4),
    ("I5", "clock-alone-orders", 0, 4),
    ("I6", "undo-forwards", 0, 4),
    ("I7", "waiting-called-completed", 0, 4),
    ("I8", "timeouts-early", 0, 4),
    ("I9", "epoch-not-checked", 21, 1),
    ("I10", "identity-forgotten", 0, 4),
    ("I12", "receipt-twice", 0, 4),
    ("I13", "last-entries-lost", 14, 1),
    ("I15", "listeners-stay", 0, 4),
    ("liveness", "answer-never-given", 3, 1),
    ("answers", "any-answer-taken", 14, 1),
    ("branches", "loser-keeps-what-it-did", 95, 1),
    ("delays", "delayed-in-a-world-at-once", 4, 1),
    ("schedules", "runs-missed-in-a-world-forgotten", 63, 1),
    ("changes", "change-for-nobody", 35, 1),
    ("flow", "turns-not-taken", 130, 1),
    ("gatherings", "burst-cut-short", 144, 1),
    ("pauses", "pause-forgotten", 134, 1),
    ("histories", "replay-reopens", 30, 1),
    ("long", "completion-taken-and-kept", 7, 1),
    ("forks", "fork-with-other-keys", 168, 1),
    ("offload", "payload-of-a-state-kept", 13, 1),
    ("seal", "journal-open-to-all", 6, 1),
    ("state", "state-cleared-in-vain", 43, 1),
    ("workflows", "children-go-on", 134, 1),
    ("watches", "lateness-told-to-nobody", 58, 1),
    ("intake", "rows-of-a-world-removed-early", 22, 1),
    ("counts", "counted-in-a-world-at-once", 1, 1),
]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "checker"), QUICK.items(), ids=QUICK)
def test_a_planted_bug_is_found_by_its_checker(name: str, checker: str) -> None:
    found = hunt(name, seeds=SEEDS_MAX)
    assert found.is_found, f"not in {SEEDS_MAX} worlds; there was {found.checkers}"
    assert checker in found.checkers


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", QUICK_ON_TOUR)
def test_a_bug_between_stores_is_found_on_a_tour(name: str) -> None:
    found = hunt(name, seeds=TOUR_SEEDS_MAX)
    assert found.is_found, f"not in {TOUR_SEEDS_MAX} tours; there was {found.checkers}"
    assert QUICK_ON_TOUR[name] in found.checkers


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("checker", "name", "first", "seeds"), ALONE, ids=[checker for checker, *_ in ALONE])
def test_without_a_checker_a_bug_is_missed(checker: str, name: str, first: int, seeds: int) -> None:
    found = hunt(name, first=first, seeds=seeds)
    assert found.is_found
    assert found.checkers == (checker,)
    missed = hunt(name, without={checker}, first=first, seeds=seeds)
    assert not missed.is_found
    assert missed.checkers == (), "another checker complains too"


def test_no_checker_is_left_out() -> None:
    assert {checker for checker, *_ in ALONE} == INVARIANTS | IN_PLAYS


@pytest.mark.filterwarnings("ignore")
def test_without_its_checker_the_command_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["waiting-called-completed", "--seeds", "5"]) == 0
    assert main(["waiting-called-completed", "--seeds", "5", "--without", "I7"]) == 1
    first, _, second, total = capsys.readouterr().out.splitlines()
    assert "found by I7 in" in first
    assert "NOT FOUND in 5 worlds" in second
    assert total.startswith("0 of 1 planted bugs found")


def test_what_is_unknown_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-bug"]) == 2
    assert main(["no-lanes", "--without", "I99"]) == 2
    assert "There is no I99" in capsys.readouterr().out


def test_every_invariant_has_a_planted_bug_of_its_own() -> None:
    alone = {checker for bug in BUGS.values() if len(bug.checkers) == 1 for checker in bug.checkers}
    assert alone >= INVARIANTS | IN_PLAYS
    assert len(BUGS) >= 65


def test_every_bug_can_be_planted() -> None:
    for bug in BUGS.values():
        with bug.planted():
            assert bug.plant.__doc__, bug.name


def test_every_bug_is_found_in_worlds_or_by_a_test_that_exists() -> None:
    root = Path(__file__).resolve().parents[2]
    for bug in BUGS.values():
        assert bool(bug.checkers) != bool(bug.elsewhere), bug.name
    for test in IN_OTHER_SUITES.values():
        path, *_, name = test.partition("[")[0].split("::")  # without the id of one of its parameters
        known = "".join(file.read_text() for file in (root / path, *(root / "src/onstage/testing").glob("store_*.py")))
        assert re.search(rf"def {name}\b", known), test


def test_a_bug_no_world_shows_is_found_by_the_test_named_for_it() -> None:
    assert run_test("arguments-not-hashed").is_found
