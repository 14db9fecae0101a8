"""The crash matrix: a real node dies at every point of its life, comes back, and has kept every promise.

`python -m tests.matrix.explore` tries every hit of every point, which takes minutes.
"""

import random

import pytest
from tests.matrix.crash import Tally, attempt, attempt_all, cells, recovering, undisturbed
from tests.matrix.life import KILLED
from tests.matrix.planted import PLANTED, Planted
from tests.matrix.points import CALLS, Cell, point_name

KILLS_MAX = 2  # hits of each point
DOUBLES = 20
REACHED_MIN = 0.9
MIN_STATEMENTS = 20

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def seen() -> dict[str, int]:
    """How often an undisturbed life reaches each point."""
    return undisturbed().seen


@pytest.fixture(scope="module")
def seen_again(seen: dict[str, int]) -> dict[str, int]:
    """How often the life after a death in the middle does."""
    return recovering(Cell("before sql: commit", seen["before sql: commit"] // 2)).seen


def check(tally: Tally, trials: int) -> None:
    assert not tally.failures, "\n".join([f"{len(tally.failures)} of {trials} trials:", *tally.failures[:5]])
    assert tally.lives[KILLED] >= REACHED_MIN * trials, f"too few nodes died where they should: {tally.lives}"


def test_every_point_is_reached_by_a_life(seen: dict[str, int], seen_again: dict[str, int]) -> None:
    named = {f"{side} {point_name(owner, name)}" for owner, name, sides in CALLS for side in sides}
    assert named <= seen.keys() | seen_again.keys(), named - seen.keys() - seen_again.keys()
    statements = {point for point in seen if "sql: " in point}
    assert len(statements) > MIN_STATEMENTS, f"statements of the writer are not seen any more: {sorted(statements)}"


def test_a_node_that_is_killed_at_any_point_keeps_every_promise(seen: dict[str, int]) -> None:
    chosen = cells(seen, KILLS_MAX, killed=True)
    tally = attempt_all((cell,) for cell in chosen)
    check(tally, len(chosen))
    assert set(tally.reached) == set(seen), f"nobody died at {set(seen) - set(tally.reached)}"


def test_a_node_that_meets_an_error_at_any_point_keeps_every_promise(seen: dict[str, int]) -> None:
    chosen = cells(seen, 1, killed=False)
    check(attempt_all((cell,) for cell in chosen), len(chosen))


def test_a_node_that_is_killed_again_while_it_recovers_keeps_every_promise(
    seen: dict[str, int], seen_again: dict[str, int]
) -> None:
    chance = random.Random(2)
    firsts, seconds = cells(seen, KILLS_MAX, killed=True), cells(seen_again, KILLS_MAX, killed=True)
    tally = attempt_all([(chance.choice(firsts), chance.choice(seconds)) for _ in range(DOUBLES)])
    assert not tally.failures, "\n".join(tally.failures[:5])
    assert tally.lives[KILLED] >= 1.5 * DOUBLES, f"too few nodes died twice: {tally.lives}"


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.change.__name__)
def test_a_planted_bug_is_found(planted: Planted) -> None:
    heard: list[str] = []
    for cell in planted.cells:
        heard += filter(None, [complaint(cell, planted)])
        if heard and heard[-1].startswith(planted.complaint):
            return  # another death may show another consequence first, an order that waits for what was lost, say
    raise AssertionError(f"no death at {planted.point} shows that something is {planted.complaint}: {heard}")


def complaint(cell: Cell, planted: Planted) -> str | None:
    """What the witness has to say against an engine with this bug that dies there."""
    try:
        attempt([cell], planted.change)
    except AssertionError as error:
        return str(error)
    return None
