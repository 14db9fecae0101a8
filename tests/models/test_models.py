"""The engine's rules as small transition systems: every reachable state is visited, and every rule is needed."""

from pathlib import Path

import pytest
from tests.models.branch_model import BranchModel
from tests.models.claim_model import ClaimModel
from tests.models.door_model import DoorModel
from tests.models.explore import Model, explore
from tests.models.ledger_model import LedgerModel
from tests.models.writer_model import WriterModel

LINES_MAX = 150

# Each world with the states it has at least, and the kinds of steps that occur in it: a model in which nothing
# happens any more proves nothing.
CLEAN = {
    "a writer that loses batches and their outcomes": (
        WriterModel(crashes=2, spoils=1, doubts=1),
        50_000,
        "effect settle park write report load sweep look gone",
    ),
    "a writer with two commits that cannot be written": (
        WriterModel(crashes=0, spoils=2, doubts=0),
        80_000,
        "effect settle park write report load sweep gone",
    ),
    "three producers and one identity": (
        DoorModel(sent=3, crashes=1),
        40_000,
        "knock look wake answer handle write report",
    ),
    "two producers that send again and again": (
        DoorModel(sent=2, crashes=2, repeats=2),
        5_000,
        "knock look wake answer handle write report",
    ),
    "a wait with a deadline": (
        LedgerModel(crashes=3),
        8_000,
        "listen look park mail timeout timer send end write report tick",
    ),
    "a wait without a deadline": (
        LedgerModel(crashes=3, deadline=False),
        1_500,
        "listen look park mail send end write report tick",
    ),
    "a race, a branch beside it, and replay": (
        BranchModel(crashes=3),
        100,
        "mail tick timer replay won step say end park",
    ),
    "three nodes and one obligation": (
        ClaimModel(nodes=3, obligations=1, faults=(1, 1, 1)),
        100_000,
        "see claim miss drop renew send arrive wake lapse",
    ),
    "two nodes and two obligations": (
        ClaimModel(nodes=2, obligations=2, faults=(0, 1, 0)),
        9_000,
        "see claim miss drop renew send arrive wake lapse",
    ),
}


@pytest.mark.parametrize("world", CLEAN)
def test_no_state_breaks_an_invariant_and_each_can_still_end_well(world: str) -> None:
    model, states_min, kinds = CLEAN[world]
    found = explore(model)
    assert found.problem is None, str(found)
    assert found.states >= states_min
    assert {kind for kind in found.kinds if not kind.startswith("fault")} == set(kinds.split())


# What is left out, and what must then be found: a word of the violation, and a step that the shortest way to it takes.
BROKEN = [
    (WriterModel("no barrier"), "an effect before what led to it was durable", "effect (2, 3)"),
    (WriterModel("credulous"), "an effect before what led to it was durable", "report"),
    (WriterModel("no felling"), "orphan", "write 3 without 1"),
    (WriterModel("forgetful"), "orphan", "write 1"),
    (WriterModel("blind retry"), "something else than is on disk", "fault unknown outcome"),
    (WriterModel("hasty"), "an effect again after its result was durable", "sweep (0, 1)"),
    (WriterModel("no sweep"), "deadlock", "write 1 without 0"),
    (DoorModel("unchecked"), "two events for one identity", "look 1"),
    (DoorModel("row apart"), "two events for one identity", "write 3"),
    (DoorModel("row apart", sent=1), "two events for one identity", "fault crash"),
    (DoorModel("no row", sent=1), "two events for one identity", "fault crash"),
    (DoorModel("early answer"), "not there", "answer 0"),
    (DoorModel("trusts memory"), "not there", "wake 1"),
    (LedgerModel("apart"), "not balanced", "end"),
    (LedgerModel("mail open"), "not balanced", "send"),
    (LedgerModel("deaf", deadline=False), "deadlock", "park"),
    (LedgerModel("unread", deadline=False), "deadlock", "fault crash"),
    (LedgerModel("early"), "given up before its time", "timeout"),
    (LedgerModel("double"), "a wait has ended twice", "timer"),
    (LedgerModel("said early"), "not on disk", "end"),
    (BranchModel("winner not recorded"), "another winner", "say"),
    (BranchModel("event kept"), "keeps its event", "won by time"),
    (BranchModel("parks under a step"), "a branch could go on", "park"),
    (BranchModel("earliest forgotten"), "will not wake it", "park"),
    (BranchModel("deaf"), "deadlock", "park after"),
    (ClaimModel("no fence", nodes=2), "stale epoch", "claim 3"),
    (ClaimModel("no compare"), "the same epoch", "claim 2"),
    (ClaimModel("zero rows"), "the same epoch", "miss 2"),
    (ClaimModel("same epoch", nodes=2), "the same epoch", "claim 1"),
    (ClaimModel("for ever"), "deadlock", "fault crash"),
    (ClaimModel("no reload", nodes=2), "deadlock", "claim 4"),
]


@pytest.mark.parametrize(
    ("model", "violation", "step"), BROKEN, ids=[f"{type(case[0]).__name__} {case[0].broken}" for case in BROKEN]
)
def test_without_one_rule_its_violation_is_found(model: Model[object], violation: str, step: str) -> None:
    found = explore(model)
    assert found.problem is not None
    assert violation in found.problem
    assert step in found.trace, str(found)


def test_a_model_is_read_in_one_sitting() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in Path(__file__).parent.glob("*_model.py")}
    assert len(lengths) == 5
    assert {name: lines for name, lines in lengths.items() if lines > LINES_MAX} == {}
